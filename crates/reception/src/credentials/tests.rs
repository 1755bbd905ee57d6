use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use smtp::Secret;
use smtp::sasl::ScramVerifier;
use tempfile::TempDir;

use super::memory::Memory;
use super::pool::{Full, Pool};
use super::throttle::Throttle;
use super::*;
use crate::config::{LoginLimits, Passwords};
use crate::directory::AccountBook;

/// The cheapest argon2 there is.
fn cheap() -> Passwords {
    Passwords { argon2_memory: 8 * 1024, argon2_passes: 1, scram_iterations: 4096, threads: 1, ..Passwords::default() }
}

fn quick() -> LoginLimits {
    LoginLimits { delay: Duration::from_millis(1), longest_delay: Duration::from_millis(4), ..LoginLimits::default() }
}

fn store(folder: &TempDir) -> AccountStore {
    AccountStore::open(&folder.path().join("state.db"), &cheap()).unwrap()
}

fn secret(text: &str) -> Secret {
    Secret::new(text)
}

fn patterns(texts: &[&str]) -> Vec<AddressPattern> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn client() -> IpAddr {
    "192.0.2.1".parse().unwrap()
}

async fn login(verifier: &Verifier, name: &str, password: &str) -> Result<(), LoginRefusal> {
    verifier.login(&quick(), client(), name, secret(password)).await
}

mod accounts {
    use super::*;

    #[test]
    fn an_account_is_kept_with_its_addresses() {
        let folder = TempDir::new().unwrap();
        let addresses = patterns(&["alice@example.org", "*@lists.example.org", "*"]);
        store(&folder).add("Alice", &secret("pass word"), &addresses).unwrap();
        let again = store(&folder).list().unwrap();
        assert_eq!(again.len(), 1);
        assert_eq!((again[0].name.as_str(), &again[0].addresses, again[0].enabled), ("Alice", &addresses, true));
    }

    #[test]
    fn a_name_is_there_once_whatever_its_case() {
        let folder = TempDir::new().unwrap();
        let store = store(&folder);
        store.add("alice", &secret("a"), &[]).unwrap();
        assert!(matches!(store.add("ALICE", &secret("b"), &[]), Err(StoreError::Exists(_))));
    }

    #[test]
    fn names_and_passwords_that_cannot_be_typed_are_refused() {
        let folder = TempDir::new().unwrap();
        let store = store(&folder);
        for name in ["", "a b", "a\nb", "a\u{1b}b"] {
            assert!(matches!(store.add(name, &secret("x"), &[]), Err(StoreError::BadName(_))), "{name:?}");
        }
        for password in ["", "a\nb", &"x".repeat(1025)] {
            assert!(matches!(store.add("a", &secret(password), &[]), Err(StoreError::BadPassword)), "{password:?}");
        }
        assert_eq!(store.list().unwrap(), []);
    }

    /// A no-break space is a space to RFC 8265: typed either way, it is one password.
    #[tokio::test]
    async fn a_password_is_kept_as_sessions_prepare_it() {
        let folder = TempDir::new().unwrap();
        let store = store(&folder);
        store.add("alice", &secret("p\u{a0}w"), &[]).unwrap();
        let verifier = Verifier::new(store.clone(), &cheap()).unwrap();
        let typed = smtp::sasl::prepare_password("p\u{a0}w".as_bytes()).unwrap();
        assert!(verifier.login(&quick(), client(), "alice", typed).await.is_ok());
        assert!(matches!(store.add("b\u{a0}c", &secret("x"), &[]), Err(StoreError::BadName(_))));
    }

    #[test]
    fn an_unknown_account_is_named() {
        let folder = TempDir::new().unwrap();
        let store = store(&folder);
        for result in [
            store.set_password("eve", &secret("x")),
            store.set_enabled("eve", false),
            store.set_addresses("eve", &patterns(&["*"])),
            store.remove("eve"),
        ] {
            assert!(matches!(result, Err(StoreError::Unknown(name)) if name == "eve"));
        }
    }

    #[test]
    fn a_removed_account_leaves_nothing_for_its_successor() {
        let folder = TempDir::new().unwrap();
        let store = store(&folder);
        store.add("alice", &secret("a"), &patterns(&["alice@example.org"])).unwrap();
        store.remove("Alice").unwrap();
        store.add("alice", &secret("a"), &[]).unwrap();
        assert_eq!(store.list().unwrap()[0].addresses, []);
    }

    #[test]
    fn no_file_holds_the_password() {
        let folder = TempDir::new().unwrap();
        let store = store(&folder);
        store.add("alice", &secret("correct-horse-battery"), &[]).unwrap();
        for file in std::fs::read_dir(folder.path()).unwrap() {
            let bytes = std::fs::read(file.unwrap().path()).unwrap();
            assert!(!bytes.windows(13).any(|window| window == b"correct-horse"));
        }
    }

    #[test]
    fn the_file_is_its_owners_alone() {
        use std::os::unix::fs::PermissionsExt;
        let folder = TempDir::new().unwrap();
        let store = store(&folder);
        store.add("alice", &secret("x"), &[]).unwrap();
        for file in std::fs::read_dir(folder.path()).unwrap() {
            let file = file.unwrap();
            let mode = file.metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0, "{:?}", file.path());
        }
    }

    #[test]
    fn a_change_by_another_process_is_seen() {
        let folder = TempDir::new().unwrap();
        let (server, command) = (store(&folder), store(&folder));
        assert!(server.roster().unwrap().account("alice").is_none());
        command.add("alice", &secret("x"), &patterns(&["alice@example.org"])).unwrap();
        let roster = server.roster().unwrap();
        assert!(roster.is_enabled("alice"));
        assert!(roster.mailbox(&"ALICE@example.org".parse().unwrap()).is_some());
        command.set_enabled("alice", false).unwrap();
        assert!(!server.roster().unwrap().is_enabled("alice"));
    }

    #[test]
    fn the_roster_is_read_once_while_nothing_changes() {
        let folder = TempDir::new().unwrap();
        let store = store(&folder);
        let first = store.roster().unwrap();
        assert!(std::sync::Arc::ptr_eq(&first, &store.roster().unwrap()));
        store.add("alice", &secret("x"), &[]).unwrap();
        assert!(!std::sync::Arc::ptr_eq(&first, &store.roster().unwrap()));
    }

    #[test]
    fn a_damaged_file_and_one_from_the_future_are_refused_by_name() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("state.db");
        std::fs::write(&path, b"this is not a database, whatever its name may say").unwrap();
        let error = AccountStore::open(&path, &cheap()).err().unwrap();
        assert!(error.to_string().contains("state.db"), "{error}");
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("state.db");
        drop(AccountStore::open(&path, &cheap()).unwrap());
        let database = rusqlite::Connection::open(&path).unwrap();
        database.execute("UPDATE schema_version SET version = 99 WHERE room = 'accounts'", []).unwrap();
        drop(database);
        assert!(matches!(AccountStore::open(&path, &cheap()), Err(StoreError::Newer { found: 99, .. })));
    }

    #[test]
    fn a_file_that_cannot_be_made_is_named() {
        let error = AccountStore::open(Path::new("/nonexistent/state.db"), &cheap()).err().unwrap();
        assert!(error.to_string().contains("/nonexistent/state.db"), "{error}");
    }
}

mod logins {
    use super::*;

    fn verifier(folder: &TempDir) -> (AccountStore, Verifier) {
        let store = store(folder);
        store.add("alice", &secret("right"), &[]).unwrap();
        let verifier = Verifier::new(store.clone(), &cheap()).unwrap();
        (store, verifier)
    }

    #[tokio::test]
    async fn the_right_password_is_taken_and_no_other() {
        let folder = TempDir::new().unwrap();
        let (_, verifier) = verifier(&folder);
        login(&verifier, "alice", "right").await.unwrap();
        login(&verifier, "ALICE", "right").await.unwrap();
        for (name, password) in [("alice", "wrong"), ("alice", "Right"), ("alice", ""), ("eve", "right"), ("", "")] {
            let refusal = login(&verifier, name, password).await.unwrap_err();
            assert_eq!(refusal.reply().to_string(), "535 5.7.8 the user name or password is wrong", "{name}");
        }
    }

    #[tokio::test]
    async fn a_remembered_password_is_forgotten_when_it_is_changed() {
        let folder = TempDir::new().unwrap();
        let (store, verifier) = verifier(&folder);
        login(&verifier, "alice", "right").await.unwrap();
        store.set_password("alice", &secret("new")).unwrap();
        assert!(login(&verifier, "alice", "right").await.is_err());
        login(&verifier, "alice", "new").await.unwrap();
    }

    #[tokio::test]
    async fn a_disabled_account_cannot_log_in_though_its_password_is_remembered() {
        let folder = TempDir::new().unwrap();
        let (store, verifier) = verifier(&folder);
        login(&verifier, "alice", "right").await.unwrap();
        store.set_enabled("alice", false).unwrap();
        assert!(login(&verifier, "alice", "right").await.is_err());
        assert!(verifier.scram_proved(&quick(), client(), "alice").is_err());
        store.set_enabled("alice", true).unwrap();
        login(&verifier, "alice", "right").await.unwrap();
    }

    #[tokio::test]
    async fn too_many_failures_block_the_address_but_no_account() {
        let folder = TempDir::new().unwrap();
        let (_, verifier) = verifier(&folder);
        let limits = LoginLimits { failures_per_address: 3, ..quick() };
        for _ in 0..3 {
            let refusal = verifier.login(&limits, client(), "alice", secret("wrong")).await.unwrap_err();
            assert!(matches!(refusal, LoginRefusal::Wrong { .. }));
        }
        let refusal = verifier.login(&limits, client(), "alice", secret("right")).await.unwrap_err();
        assert_eq!(refusal.reply().code.as_u16(), 421);
        let elsewhere = "198.51.100.1".parse().unwrap();
        verifier.login(&limits, elsewhere, "alice", secret("right")).await.unwrap();
    }

    #[tokio::test]
    async fn scram_of_an_unknown_name_is_made_up_and_stays_the_same() {
        let folder = TempDir::new().unwrap();
        let (store, first) = verifier(&folder);
        let made_up = first.scram(&quick(), client(), "eve").unwrap();
        assert_eq!(first.scram(&quick(), client(), "EVE").unwrap(), made_up);
        assert_ne!(first.scram(&quick(), client(), "mallory").unwrap().salt, made_up.salt);
        let restarted = Verifier::new(store.clone(), &cheap()).unwrap();
        assert_eq!(restarted.scram(&quick(), client(), "eve").unwrap(), made_up);
        let real = first.scram(&quick(), client(), "alice").unwrap();
        assert_eq!((real.salt.len(), real.iterations), (made_up.salt.len(), made_up.iterations));
        assert_eq!(real, ScramVerifier::derive(&secret("right"), &real.salt, real.iterations));
        store.set_enabled("alice", false).unwrap();
        assert_ne!(first.scram(&quick(), client(), "alice").unwrap(), real);
    }

    #[tokio::test]
    async fn an_unknown_name_is_hashed_as_a_known_one_is() {
        // Slow enough that the hash is most of the time, and no memory of right passwords.
        let passwords =
            Passwords { argon2_memory: 4 * 1024 * 1024, argon2_passes: 3, remember: Duration::ZERO, ..cheap() };
        let folder = TempDir::new().unwrap();
        let store = AccountStore::open(&folder.path().join("state.db"), &passwords).unwrap();
        store.add("alice", &secret("right"), &[]).unwrap();
        let verifier = Verifier::new(store, &passwords).unwrap();
        let mut fastest = [Duration::MAX; 2];
        for _ in 0..5 {
            for (index, name) in ["alice", "eve"].into_iter().enumerate() {
                let begun = Instant::now();
                assert!(login(&verifier, name, "wrong").await.is_err());
                fastest[index] = fastest[index].min(begun.elapsed());
            }
        }
        let [known, unknown] = fastest;
        assert!(unknown > known / 3, "unknown {unknown:?}, known {known:?}");
    }
}

mod passwords {
    use super::*;

    #[test]
    fn a_generated_password_can_be_read_out_and_is_new_each_time() {
        let password = generate_password();
        let text = std::str::from_utf8(password.expose()).unwrap();
        let groups: Vec<&str> = text.split('-').collect();
        assert_eq!(groups.len(), 4);
        for group in groups {
            assert_eq!(group.len(), 5);
            assert!(group.chars().all(|c| c.is_ascii_alphanumeric() && !"01ilo".contains(c)), "{text}");
        }
        assert_ne!(password, generate_password());
    }

    #[test]
    fn what_is_remembered_is_bound_to_name_hash_and_time() {
        let memory = Memory::new(secret("key"), Duration::from_secs(60));
        let now = Instant::now();
        memory.remember("alice", "hash", &secret("right"), now);
        assert!(memory.knows("alice", "hash", &secret("right"), now));
        assert!(!memory.knows("alice", "hash", &secret("wrong"), now));
        assert!(!memory.knows("alice", "other hash", &secret("right"), now));
        assert!(!memory.knows("bob", "hash", &secret("right"), now));
        assert!(!memory.knows("alice", "hash", &secret("right"), now + Duration::from_secs(60)));
    }

    #[test]
    fn nothing_is_remembered_where_that_is_turned_off() {
        let memory = Memory::new(secret("key"), Duration::ZERO);
        memory.remember("alice", "hash", &secret("right"), Instant::now());
        assert!(!memory.knows("alice", "hash", &secret("right"), Instant::now()));
    }

    #[tokio::test]
    async fn a_pool_with_all_places_taken_says_so() {
        let pool = Pool::new(1, 1).unwrap();
        let (release, hold) = std::sync::mpsc::channel::<()>();
        let (started, begun) = std::sync::mpsc::channel::<()>();
        let first =
            pool.run(move || started.send(()).and_then(|()| hold.recv().map_err(|_| std::sync::mpsc::SendError(()))));
        begun.recv().unwrap();
        let second = pool.run(|| 2).unwrap();
        assert_eq!(pool.run(|| 3).err(), Some(Full));
        release.send(()).unwrap();
        assert!(first.unwrap().await.unwrap().is_ok());
        assert_eq!(second.await.unwrap(), 2);
    }
}

mod guessing {
    use super::*;

    fn limits() -> LoginLimits {
        LoginLimits {
            failures_per_address: 4,
            failures_per_network: 8,
            window: Duration::from_secs(400),
            delay: Duration::from_secs(1),
            longest_delay: Duration::from_secs(5),
        }
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_delay_doubles_up_to_the_longest() {
        let (mut throttle, now) = (Throttle::default(), Instant::now());
        let delays: Vec<u64> =
            (0..4).map(|_| throttle.failed(&limits(), ip("192.0.2.1"), "alice", now).as_secs()).collect();
        assert_eq!(delays, [1, 2, 4, 5]);
    }

    #[test]
    fn failures_for_one_account_slow_each_other_wherever_they_come_from() {
        let (mut throttle, now) = (Throttle::default(), Instant::now());
        throttle.failed(&limits(), ip("192.0.2.1"), "alice", now);
        assert_eq!(throttle.failed(&limits(), ip("198.51.100.1"), "ALICE", now).as_secs(), 2);
        assert_eq!(throttle.failed(&limits(), ip("203.0.113.1"), "bob", now).as_secs(), 1);
    }

    #[test]
    fn an_address_is_blocked_and_let_in_again() {
        let (mut throttle, now) = (Throttle::default(), Instant::now());
        for _ in 0..4 {
            assert_eq!(throttle.blocked(&limits(), ip("192.0.2.1"), now), None);
            throttle.failed(&limits(), ip("192.0.2.1"), "alice", now);
        }
        let wait = throttle.blocked(&limits(), ip("192.0.2.1"), now).unwrap();
        assert_eq!(wait, Duration::from_secs(100));
        assert_eq!(throttle.blocked(&limits(), ip("192.0.2.2"), now), None);
        assert_eq!(throttle.blocked(&limits(), ip("192.0.2.1"), now + wait + Duration::from_millis(1)), None);
    }

    #[test]
    fn one_password_for_many_names_from_many_addresses_blocks_the_network() {
        let (mut throttle, now) = (Throttle::default(), Instant::now());
        for host in 1..=8 {
            throttle.failed(&limits(), ip(&format!("192.0.2.{host}")), &format!("user{host}"), now);
        }
        assert!(throttle.blocked(&limits(), ip("192.0.2.200"), now).is_some());
        assert_eq!(throttle.blocked(&limits(), ip("192.0.3.1"), now), None);
    }

    #[test]
    fn all_addresses_of_an_ipv6_network_of_64_are_one() {
        let (mut throttle, now) = (Throttle::default(), Instant::now());
        for host in 1..=4 {
            throttle.failed(&limits(), ip(&format!("2001:db8::{host}")), &format!("user{host}"), now);
        }
        assert!(throttle.blocked(&limits(), ip("2001:db8::ffff"), now).is_some());
        assert_eq!(throttle.blocked(&limits(), ip("2001:db8:0:1::1"), now), None);
    }

    #[test]
    fn failures_from_ever_new_addresses_do_not_fill_the_memory() {
        let (mut throttle, now) = (Throttle::default(), Instant::now());
        for number in 0..200_000u32 {
            throttle.failed(&limits(), IpAddr::V4(number.wrapping_mul(2_654_435_761).into()), "alice", now);
        }
        assert!(throttle.len() <= 100_003, "{}", throttle.len());
    }
}
