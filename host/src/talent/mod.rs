//! Talents, skills, companies, projects, and who fits what. It reads from the database; nothing of it is kept in memory.
//!
//! Read on in `base` (what the four main things have in common), `talents`, `skills`, `companies`, `projects`,
//! `parts` (what belongs to one talent), `recommendations`, `text` (dates, addresses).

mod base;
pub mod companies;
mod parts;
pub mod projects;
pub mod recommendations;
mod routes;
pub mod skills;
pub mod talents;
pub mod text;

use self::base::Kept as _;
use crate::feed::Feed;

pub use routes::routes;

/// The talents. Clones share it.
#[derive(Clone, Default)]
pub struct Talent;

impl Talent {
    /// Lets changes be watched. There is no memory to keep true.
    pub fn new(feed: &Feed) -> Self {
        for topic in [talents::Talent::TOPIC, skills::Skill::TOPIC, companies::Company::TOPIC, projects::Project::TOPIC]
        {
            feed.on(topic, |_| ());
        }
        Self
    }
}

/// Its statements that both databases take, and those of SQLite and of PostgreSQL alone.
pub(crate) fn statements() -> [Vec<(&'static str, &'static str)>; 3] {
    let main = [talents::STATEMENTS, skills::STATEMENTS, companies::STATEMENTS, projects::STATEMENTS];
    [
        [&main.concat(), parts::statements().as_slice(), recommendations::STATEMENTS].concat(),
        [projects::SQLITE, recommendations::SQLITE].concat(),
        [projects::POSTGRES, recommendations::POSTGRES].concat(),
    ]
}
