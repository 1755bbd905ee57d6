mod control;
mod exit;
mod fault;
mod output;
mod ports;
mod resolver;
mod sendmail;
mod config {
    pub mod problem;
}
fn main() {}
