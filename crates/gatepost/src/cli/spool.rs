use crate::fault::Fault;
pub fn run(_c: super::SpoolCommand) -> Result<(), Fault> { unimplemented!() }
