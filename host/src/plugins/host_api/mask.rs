//! Taking secrets out of what comes back: a server may send a plugin what the host has sent to it.

use std::sync::Arc;

use crate::plugins::bindings::looma::host::http::Response;

/// What stands in the place of a secret.
const MASK: &str = "***";
/// Shorter ones are not looked for: they would be found in words that have nothing to do with them.
const SHORTEST: usize = 6;

/// The answer without these secrets in it.
pub(super) fn masked(mut response: Response, secrets: &[Arc<str>]) -> Response {
    for secret in secrets.iter().filter(|secret| secret.len() >= SHORTEST) {
        for (_, value) in &mut response.headers {
            if value.contains(&**secret) {
                *value = value.replace(&**secret, MASK);
            }
        }
        response.body = without(response.body, secret.as_bytes());
    }
    response
}

fn without(body: Vec<u8>, secret: &[u8]) -> Vec<u8> {
    let find = |part: &[u8]| part.windows(secret.len()).position(|window| window == secret);
    let Some(mut at) = find(&body) else { return body };
    let (mut out, mut rest) = (Vec::with_capacity(body.len()), body.as_slice());
    loop {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(MASK.as_bytes());
        rest = &rest[at + secret.len()..];
        match find(rest) {
            Some(next) => at = next,
            None => break,
        }
    }
    out.extend_from_slice(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_wherever_they_stand_and_the_rest_is_as_it_was() {
        let response = |body: &str| Response {
            status: 200,
            headers: vec![("x".to_owned(), "Bearer s3cret".to_owned())],
            body: body.as_bytes().to_vec(),
        };
        let secrets = ["s3cret".into(), "no".into()];
        let answer = masked(response("s3cret no s3cres3crets3cret"), &secrets);
        assert_eq!(answer.headers[0].1, "Bearer ***");
        assert_eq!(String::from_utf8(answer.body).unwrap(), "*** no s3cre******");
        assert_eq!(masked(response("nothing"), &secrets).body, b"nothing");
    }
}
