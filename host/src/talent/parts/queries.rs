//! SQL that the parts share. The texts are put together from constants alone; values are always bound.

use sqlx::AssertSqlSafe;

use super::{Part, PartKey};
use crate::{
    db::{AsConn, Result, Tx},
    on_db,
};

pub(super) async fn find<P: Part>(on: &mut dyn AsConn, PartKey { talent_id, key }: &PartKey) -> Result<Option<P>> {
    let sql = format!("{} WHERE talent_id = $1 AND {} = $2", P::SELECT, P::KEY);
    on_db!(on, |c| sqlx::query_as(AssertSqlSafe(sql)).bind(talent_id).bind(key).fetch_optional(c).await)
}

pub(super) async fn delete<P: Part>(tx: &mut Tx, PartKey { talent_id, key }: &PartKey) -> Result<()> {
    let sql = format!("DELETE FROM {} WHERE talent_id = $1 AND {} = $2", P::TABLE, P::KEY);
    on_db!(tx, |c| sqlx::query(AssertSqlSafe(sql)).bind(talent_id).bind(key).execute(c).await.map(drop))
}

/// Declares `STATEMENTS` and `save` of a part: its table, the column of its key, what is unique, and which parameter each
/// field is; the first four are whose it is, its key and its times.
macro_rules! part_statements {
    ($table:literal, $key:literal, unique $unique:literal, $fields:ident { $($field:ident = $n:literal),+ $(,)? }) => {
        use $crate::{
            db::{Result, Tx},
            on_db, statements,
            talent::parts::{PartKey, Times},
        };

        statements! { STATEMENTS:
            SAVE = concat!(
                "INSERT INTO ", $table, " (talent_id, ", $key, ", created_at, updated_at", $(", ", stringify!($field),)+
                ") VALUES ($1, $2, $3, $4", $(", ", $n,)+
                ") ON CONFLICT (", $unique, ") DO UPDATE SET updated_at = excluded.updated_at",
                $(", ", stringify!($field), " = excluded.", stringify!($field),)+
            );
        }

        pub(super) async fn save(tx: &mut Tx, at: &PartKey, fields: &$fields, times: &Times) -> Result<()> {
            let $fields { $($field),+ } = fields;
            on_db!(tx, |c| sqlx::query(SAVE)
                .bind(&at.talent_id)
                .bind(&at.key)
                .bind(times.created_at)
                .bind(times.updated_at)
                $(.bind($field))+
                .execute(c)
                .await
                .map(drop))
        }
    };
}

pub(in crate::talent::parts) use part_statements;
