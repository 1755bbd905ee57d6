//! xtext: how DSN and AUTH parameters carry what a command line cannot (RFC 3461 §4).
