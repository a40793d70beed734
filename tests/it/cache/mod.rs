//! The layer, around a scripted service.

mod bodies;
mod displacing;
mod explaining;
mod failing;
mod growing;
mod methods;
mod parts;
mod patience;
mod purging;
mod querying;
mod reusing;
mod searching;
mod sharing;
mod telling;
mod tower_fit;
mod waiting;
