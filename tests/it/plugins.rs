//! `/plugins`: how they come in, what is told of a bad one, and what goes on while they change.

mod calls;
mod files;
mod fuzz;
mod grants;
mod hostile;
mod uploads;
