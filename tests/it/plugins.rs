//! `/plugins`: how they come in, what is told of a bad one, and what goes on while they change.

mod batches;
mod calls;
mod counts;
mod files;
mod fuzz;
mod grants;
mod health;
mod hostile;
mod retries;
mod shares;
mod uploads;
