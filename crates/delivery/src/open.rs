//! How many connections to each site are open: whether one failure speaks for the whole site.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use queue::Site;

type Counts = Arc<Mutex<HashMap<Site, usize>>>;

#[derive(Debug, Default)]
pub(crate) struct OpenSites {
    counts: Counts,
}

impl OpenSites {
    /// A place for one connection to this site; counted from when it is open.
    pub(crate) fn of(&self, site: &Site) -> OpenPlace {
        OpenPlace { counts: self.counts.clone(), site: site.clone() }
    }

    pub(crate) fn none(&self, site: &Site) -> bool {
        !self.counts.lock().unwrap_or_else(PoisonError::into_inner).contains_key(site)
    }
}

/// Whom a connection will be counted for.
#[derive(Clone, Debug)]
pub(crate) struct OpenPlace {
    counts: Counts,
    site: Site,
}

impl OpenPlace {
    pub(crate) fn count(&self) -> OpenGuard {
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner).entry(self.site.clone()).or_default() += 1;
        OpenGuard(self.clone())
    }
}

/// Counts one connection for as long as it lives.
#[derive(Debug)]
pub(crate) struct OpenGuard(OpenPlace);

impl Drop for OpenGuard {
    fn drop(&mut self) {
        let mut counts = self.0.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.0.site) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.0.site);
            }
        }
    }
}
