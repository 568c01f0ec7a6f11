//! Costs through HTTP, the task loop and the files: months to the cent, usage told once, budgets,
//! steps, the daemon's own use.

mod hand;
mod kept;
mod own;
mod told;
