//! Parameters of a request: of its query and, where it brings one, of its form; the first of a name counts.

use crate::http::error::{ApiError, ApiResult, Faults};

/// Names and values, in their order.
#[derive(Clone, Debug, Default)]
pub struct Fields(Vec<(String, String)>);

impl Fields {
    /// Reads a query or a form (`application/x-www-form-urlencoded`).
    pub fn read(text: &str) -> Self {
        Self(form_urlencoded::parse(text.as_bytes()).into_owned().collect())
    }

    /// What stands in `other`, too.
    pub fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// Whether there is one of this name, even without a value.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(own, _)| own == name)
    }

    /// The values of a name, in their order.
    pub fn all<'f>(&'f self, name: &'f str) -> impl Iterator<Item = &'f str> {
        self.0.iter().filter(move |(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// The first value of a name that is not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(own, value)| own == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }

    /// The same; 400 if there is none.
    pub fn need(&self, name: &str) -> ApiResult<&str> {
        self.get(name).ok_or_else(|| malformed(format!("Param '{name}' is required.")))
    }

    /// A value that is read as something; 400 if it cannot be.
    pub fn parsed<T: std::str::FromStr>(&self, name: &str) -> ApiResult<Option<T>> {
        let parse =
            |text: &str| text.trim().parse().map_err(|_| malformed(format!("Param '{name}' is not right: {text:?}")));
        self.get(name).map(parse).transpose()
    }

    /// `true` or `false`, in whatever letters.
    pub fn flag(&self, name: &str) -> Option<bool> {
        self.get(name).map(|text| text.eq_ignore_ascii_case("true") || text == "1")
    }
}

/// 400, and why.
pub fn malformed(why: impl Into<String>) -> ApiError {
    ApiError::Malformed(Faults::one("", why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_read_as_browsers_write_it() {
        let fields = Fields::read("a=1&b=x%40%40y+z&c&&a=2&d=%zz%4&e=%E4%BD%A0");
        assert_eq!(fields.all("a").collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!((fields.get("b"), fields.get("c"), fields.has("c")), (Some("x@@y z"), None, true));
        assert_eq!((fields.get("d"), fields.get("e")), (Some("%zz%4"), Some("你")));
        assert!(fields.need("c").is_err() && fields.parsed::<u16>("b").is_err());
    }
}
