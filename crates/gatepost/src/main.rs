mod resolver;
fn main() {}
