use super::*;

fn server(number: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, (number >> 8) as u8, number as u8], 25))
}

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn a_failure_is_remembered_longer_each_time_and_never_beyond_three_days() {
    let (memory, mut now) = (TlsMemory::default(), Timestamp(0));
    for hours in [1, 2, 4, 8, 16, 32, 64, 72, 72] {
        assert_eq!(memory.plain(&server(1), now), None);
        memory.remember(server(1), "no common cipher", now);
        let last = now.after(HOUR * hours - Duration::from_millis(1));
        let words = memory.plain(&server(1), last).unwrap_or_else(|| panic!("forgotten before {hours} hours"));
        assert!(words.starts_with("the handshake failed before (remembered until 19"), "{words}");
        assert!(words.ends_with(": no common cipher"), "{words}");
        assert_eq!(memory.plain(&server(2), last), None);
        now = now.after(HOUR * hours);
    }
}

#[test]
fn what_worked_again_begins_anew() {
    let (memory, now) = (TlsMemory::default(), Timestamp(0));
    memory.remember(server(1), "x", now);
    memory.remember(server(1), "x", now);
    memory.forget(&server(1));
    assert_eq!(memory.plain(&server(1), now), None);
    memory.remember(server(1), "x", now);
    assert_eq!(memory.plain(&server(1), now.after(HOUR)), None);
}

#[test]
fn the_memory_is_bounded_and_gives_up_what_ends_first() {
    let memory = TlsMemory::default();
    for number in 0..=MOST {
        memory.remember(server(number), "x", Timestamp(number as u64));
    }
    assert_eq!(memory.lock().len(), MOST);
    assert_eq!(memory.plain(&server(0), Timestamp(0)), None);
    assert!(memory.plain(&server(1), Timestamp(0)).is_some() && memory.plain(&server(MOST), Timestamp(0)).is_some());
}
