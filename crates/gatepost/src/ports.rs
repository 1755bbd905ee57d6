//! The four ports as the field uses them: the table that a person is shown.

/// One row of the port table.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct Port {
    pub number: u16,
    /// Where it is served when the number itself may not be bound (below 1024 without the right to).
    pub unprivileged: u16,
    pub profile: &'static str,
    /// The encryption that the port stands for.
    pub encryption: &'static str,
    pub authentication: &'static str,
    pub purpose: &'static str,
    /// How often networks block it outward, by the reports of hosting companies and providers.
    pub blocked: &'static str,
}

pub const PORTS: [Port; 4] = [
    Port {
        number: 25,
        unprivileged: 2025,
        profile: "relay",
        encryption: "STARTTLS if offered",
        authentication: "none",
        purpose: "server to server",
        blocked: "very often",
    },
    Port {
        number: 587,
        unprivileged: 2587,
        profile: "submission",
        encryption: "STARTTLS",
        authentication: "required",
        purpose: "programs and people sending",
        blocked: "rarely",
    },
    Port {
        number: 465,
        unprivileged: 2465,
        profile: "submissions",
        encryption: "TLS at once",
        authentication: "required",
        purpose: "the same, TLS from the first byte",
        blocked: "rarely",
    },
    Port {
        number: 2525,
        unprivileged: 2525,
        profile: "alternative",
        encryption: "STARTTLS",
        authentication: "required",
        purpose: "when 587 and 465 are blocked",
        blocked: "hardly ever",
    },
];
