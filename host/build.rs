//! Rebuilds when a migration is added: `sqlx::migrate!` tracks edits of the files it embedded, but not new files.
fn main() {
    println!("cargo:rerun-if-changed=../migrations");
}
