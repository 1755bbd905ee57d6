//! The way that an operator sends a letter, in place of its recipients' own: `gatepost queue redirect`.
//!
//! It is written as the target of a route is. A server that a route names is spoken to as that route says, with its user
//! and its TLS; any other as a route without more keys would be. `route:example.net` is the route of that name; where it is
//! gone by the time of the attempt, the letter goes its recipients' own way.

use std::sync::Arc;

use queue::Site;
use smtp::server::Protocol;

use crate::config::{BadTarget, Route, RouteDomain, RouteTarget};
use crate::route::{NextHop, Relay, Router, Server, Target, Way, key_of, maildir_site};

/// Why letters cannot be sent this way.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRedirect {
    #[error(transparent)]
    Target(#[from] BadTarget),
    #[error("there is no [[route]] for {0}; the way may also be named as host:port")]
    NoRoute(String),
}

const ROUTE: &str = "route:";

impl Router {
    pub(crate) fn redirect_target(&self, text: &str) -> Result<String, BadRedirect> {
        let text = text.trim();
        if let Some(name) = text.strip_prefix(ROUTE) {
            let domain: RouteDomain = name.parse()?;
            return match self.route_for(&domain) {
                Some(_) => Ok(format!("{ROUTE}{domain}")),
                None => Err(BadRedirect::NoRoute(name.to_owned())),
            };
        }
        Ok(target_of(text)?.to_string())
    }

    /// `None`: it says nothing (any more).
    pub(crate) fn redirected(&self, to: &str) -> Option<Target> {
        if let Some(name) = to.strip_prefix(ROUTE) {
            return self.route_for(&name.parse().ok()?);
        }
        let target = target_of(to).ok()?;
        let server = match &target {
            RouteTarget::Mx => return Some(Target::Mx),
            RouteTarget::Catch(folder) => {
                let hop = NextHop::Catch(folder.as_path().into());
                return Some(Target::Way(Way { site: maildir_site("catch", folder), hop }));
            }
            RouteTarget::Smtp(endpoint) | RouteTarget::Lmtp(endpoint) => Server::Tcp(endpoint.clone()),
            RouteTarget::LmtpUnix(path) => Server::Unix(path.clone()),
        };
        Some(Target::Way(self.server(target, server)))
    }

    fn server(&self, target: RouteTarget, to: Server) -> Way {
        let protocol = if matches!(target, RouteTarget::Smtp(_)) { Protocol::Smtp } else { Protocol::Lmtp };
        let configured = self.relays.iter().filter(|(_, relay)| relay.to == to && relay.protocol == protocol);
        // Of several routes to one server always the same.
        if let Some((site, relay)) = configured.min_by(|(a, _), (b, _)| a.cmp(b)) {
            return Way { site: site.clone(), hop: NextHop::Relay(Arc::clone(relay)) };
        }
        let relay = Relay {
            to,
            protocol,
            tls: Route::new(RouteDomain::Any, target).tls_mode(),
            verify: true,
            tls_name: None,
            credentials: None,
            insecure_allow_plaintext_auth: false,
        };
        Way { site: Site(key_of(&relay).into()), hop: NextHop::Relay(Arc::new(relay)) }
    }
}

/// As in a route; people also write it like a URL.
fn target_of(text: &str) -> Result<RouteTarget, BadTarget> {
    match (text.strip_prefix("smtp://"), text.strip_prefix("lmtp://")) {
        (Some(server), _) => server.trim_end_matches('/').parse().map(RouteTarget::Smtp),
        (_, Some(server)) => server.trim_end_matches('/').parse().map(RouteTarget::Lmtp),
        _ => text.parse(),
    }
}

#[cfg(test)]
mod tests;
