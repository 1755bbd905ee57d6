use crate::fault::Fault;
pub fn run(_c: super::QueueCommand) -> Result<(), Fault> { unimplemented!() }
