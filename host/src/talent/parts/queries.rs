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
