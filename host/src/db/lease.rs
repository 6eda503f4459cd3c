//! Leases: which replica does a piece of periodic work. One holds it, and may renew it; another takes it when it has run out.

use crate::{
    clock::Timestamp,
    db::{Result, Tx},
    ids::ReplicaId,
    on_db, statements,
};

statements! { LEASE_STATEMENTS:
    TAKE = "INSERT INTO task_leases (task_name, replica_id, expires_at) VALUES ($1, $2, $3) \
        ON CONFLICT (task_name) DO UPDATE SET replica_id = excluded.replica_id, expires_at = excluded.expires_at \
        WHERE task_leases.replica_id = excluded.replica_id OR task_leases.expires_at <= $4 \
        RETURNING task_name";
    GIVE_UP = "DELETE FROM task_leases WHERE task_name = $1 AND replica_id = $2";
    RELEASE = "DELETE FROM task_leases WHERE replica_id = $1";
}

/// Takes or renews the lease of `task` until `until`; false while another replica holds it. A database of SQLite has one
/// replica: whoever held a lease there before is gone, and nothing waits for it to run out.
pub async fn take(tx: &mut Tx, task: &str, replica: &ReplicaId, until: Timestamp, now: Timestamp) -> Result<bool> {
    let out_by = if matches!(tx, Tx::Sqlite(_)) { Timestamp::MAX } else { now };
    let taken: Option<String> = on_db!(tx, |c| sqlx::query_scalar(TAKE)
        .bind(task)
        .bind(replica)
        .bind(until)
        .bind(out_by)
        .fetch_optional(c)
        .await)?;
    Ok(taken.is_some())
}

/// Gives up the lease of `task`; false if another replica has it meanwhile.
pub async fn give_up(tx: &mut Tx, task: &str, replica: &ReplicaId) -> Result<bool> {
    on_db!(tx, |c| sqlx::query(GIVE_UP).bind(task).bind(replica).execute(c).await.map(|done| done.rows_affected() > 0))
}

/// Gives up every lease that a replica holds, so that others need not wait for them to run out.
pub async fn release_all(tx: &mut Tx, replica: &ReplicaId) -> Result<()> {
    on_db!(tx, |c| sqlx::query(RELEASE).bind(replica).execute(c).await.map(drop))
}
