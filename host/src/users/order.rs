//! The order of a list of users. They are few: SQL filters them, and memory sorts them.

use std::cmp::Ordering;

use super::types::User;
use crate::http::{
    error::ApiResult,
    page::{self, Page, SortKey},
};

const FIELDS: [&str; 6] = ["username", "role", "status", "created_at", "updated_at", "last_login"];

/// Which fields, one after the other; users that are alike in them are in the order they were made in.
pub struct Order<'a>(Vec<SortKey<'a>>);

impl<'a> Order<'a> {
    /// Reads `sort`.
    pub fn read(sort: Option<&'a str>) -> ApiResult<Self> {
        page::sort(sort, &FIELDS).map(Self)
    }

    /// The page of `users` that starts after a cursor.
    pub fn page(&self, users: Vec<User>, limit: Option<i64>, after: Option<&str>) -> ApiResult<Page<User>> {
        let limit = page::limit(limit)?;
        let after: Option<Vec<String>> = page::cursor(after)?;
        let mut keyed: Vec<_> = users.into_iter().map(|user| (self.key(&user), user)).collect();
        keyed.sort_by(|(a, _), (b, _)| self.compare(a, b));
        let rest =
            keyed.into_iter().filter(|(key, _)| after.as_ref().is_none_or(|after| self.compare(key, after).is_gt()));
        let items = rest.take(limit + 1).map(|(_, user)| user).collect();
        Ok(Page::new(items, limit, |user| self.key(user)))
    }

    fn key(&self, user: &User) -> Vec<String> {
        let fields = self.0.iter().map(|key| field(user, key.field));
        fields.chain([user.user_id.0.clone()]).collect()
    }

    fn compare(&self, a: &[String], b: &[String]) -> Ordering {
        let directions = self.0.iter().map(|key| key.descending).chain([false]);
        let mut orders = directions.zip(a.iter().zip(b)).map(|(descending, (a, b))| match descending {
            true => b.cmp(a),
            false => a.cmp(b),
        });
        orders.find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    }
}

/// A field as text that sorts as the field does.
fn field(user: &User, name: &str) -> String {
    match name {
        "username" => user.username.clone(),
        "role" => user.role.to_string(),
        "status" => user.status.to_string(),
        "created_at" => user.created_at.to_string(),
        "updated_at" => user.updated_at.to_string(),
        _ => user.last_login.map_or_else(String::new, |at| at.to_string()),
    }
}
