//! Reading a body to its end, or only until it is known to be too large to hold.

use axum::body::{Body, Bytes, HttpBody as _};
use futures_util::{StreamExt as _, stream};

/// What became of a body.
pub enum Gathered {
    /// All of it.
    Whole(Bytes),
    /// It is larger than the limit: the body, from its beginning.
    Larger(Body),
}

/// Reads a body of at most `limit` bytes; a larger one is not held any longer than it takes to tell.
pub async fn gather(body: Body, limit: usize) -> Result<Gathered, axum::Error> {
    if usize::try_from(body.size_hint().lower()).map_or(true, |least| least > limit) {
        return Ok(Gathered::Larger(body));
    }
    let mut rest = body.into_data_stream();
    let mut held: Vec<Bytes> = Vec::new();
    let mut length = 0;
    while let Some(part) = rest.next().await {
        let part = part?;
        length += part.len();
        held.push(part);
        if length > limit {
            let begun = stream::iter(held).map(Ok);
            return Ok(Gathered::Larger(Body::from_stream(begun.chain(rest))));
        }
    }
    Ok(Gathered::Whole(match held.len() {
        1 => held.remove(0),
        _ => held.concat().into(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A body whose length nobody is told in advance.
    fn parts(of: &'static [&'static str]) -> Body {
        Body::from_stream(stream::iter(of).map(|part| Ok::<_, std::io::Error>(*part)))
    }

    #[tokio::test]
    async fn nothing_of_a_body_is_lost() {
        for (parts_of, limit, whole) in
            [(&["ab", "cd", "ef"][..], 6, true), (&["ab", "cd", "ef"], 5, false), (&["abc"], 2, false), (&[], 0, true)]
        {
            let all = parts_of.concat();
            let read = match gather(parts(parts_of), limit).await.unwrap() {
                Gathered::Whole(bytes) => (true, bytes),
                Gathered::Larger(body) => (false, axum::body::to_bytes(body, 100).await.unwrap()),
            };
            assert_eq!(read, (whole, Bytes::from(all)));
        }
        assert!(matches!(gather(Body::from("abc"), 2).await.unwrap(), Gathered::Larger(_)));
    }
}
