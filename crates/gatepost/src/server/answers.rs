use super::Server;
use crate::control::{Answers, Request, Response};
impl Answers for Server { async fn answer(&self, _r: Request) -> Response { unimplemented!() } }
