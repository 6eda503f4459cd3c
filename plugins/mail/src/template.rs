//! Templates: text in which `{{ NAME }}` stands for something. There is no logic in them.

/// What a template may name.
pub(crate) const NAMES: [&str; 4] = ["title", "status", "count", "alerts"];

/// A piece of a template.
#[derive(Debug, PartialEq, Eq)]
enum Piece<'t> {
    Text(&'t str),
    Name(&'t str),
}

fn pieces(template: &str) -> Result<Vec<Piece<'_>>, String> {
    let (mut found, mut rest) = (Vec::new(), template);
    while let Some((text, after)) = rest.split_once("{{") {
        let (name, after) = after.split_once("}}").ok_or("`{{` without `}}`")?;
        let name = name.trim();
        if !NAMES.contains(&name) {
            return Err(format!("there is no {name:?}; there are {}", NAMES.join(", ")));
        }
        found.extend([Piece::Text(text), Piece::Name(name)]);
        rest = after;
    }
    found.push(Piece::Text(rest));
    Ok(found)
}

/// What is wrong with a template.
pub(crate) fn fault(template: &str) -> Option<String> {
    pieces(template).err()
}

/// The template with everything put in.
pub(crate) fn fill(template: &str, value: impl Fn(&str) -> String) -> Result<String, String> {
    let put_in = |piece| match piece {
        Piece::Text(text) => text.to_owned(),
        Piece::Name(name) => value(name),
    };
    Ok(pieces(template)?.into_iter().map(put_in).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_put_in_and_nothing_else_is_read() {
        let filled = fill("[{{status}}] {{ title }} {x} }}", |name| format!("<{name}>"));
        assert_eq!(filled.as_deref(), Ok("[<status>] <title> {x} }}"));
        let inside = fill("{{ title }}", |_| "{{ alerts }}".to_owned());
        assert_eq!(inside.as_deref(), Ok("{{ alerts }}"));
    }

    #[test]
    fn faults_are_told() {
        assert_eq!(
            fault("{{ nope }}").as_deref(),
            Some("there is no \"nope\"; there are title, status, count, alerts")
        );
        assert_eq!(fault("{{ title").as_deref(), Some("`{{` without `}}`"));
        assert_eq!(fault("plain"), None);
    }
}
