//! Who listens where the daemon listens or would listen, and whether what it left behind is true.

use std::net::{IpAddr, SocketAddr};

use super::{Around, Notes};

/// The kernel's word for a socket that listens: `TCP_LISTEN` of the header
/// `net/tcp_states.h`.
const LISTENS: &str = "0A";

pub(super) fn look(around: &Around<'_>, notes: &mut Notes) {
    if let Some(file) = &around.seen.file
        && !around.runs()
        && around.pid().is_none()
    {
        notes.warn(
            format!(
                "`.echopilot/daemon.json` is left of process {}, which is gone",
                file.pid
            ),
            "it was killed or lost its power; `echopilot serve` mends what is left and starts",
        );
    }
    let Some(address) = around.listens() else {
        return notes.skip("no address is configured");
    };
    if around.runs() {
        return notes.ok_otherwise(format!("the daemon answers at {address}"));
    }
    let tables = ["proc/net/tcp", "proc/net/tcp6"].map(|name| around.machine(name));
    if tables.iter().all(Option::is_none) {
        return notes.skip("this machine does not tell who listens");
    }
    let taken = tables.iter().flatten().flat_map(|table| table.lines());
    let taken = taken.filter_map(listening);
    let ours = around.pid();
    match taken.into_iter().find(|other| collide(*other, address)) {
        Some(other) if ours.is_some() => notes.fail(
            format!("something listens at {other}, and no daemon of this home answers there"),
            "it hangs or is starting: `journalctl -u echopilot -n 50`, then restart it",
        ),
        Some(other) => notes.fail(
            format!("{other} is taken, the daemon wants {address}"),
            format!(
                "`ss -ltnp 'sport = :{}'` names the program; stop it, or change `listen` in \
                 `configs/echopilot.json`",
                address.port()
            ),
        ),
        None => notes.ok_otherwise(format!("{address} is free")),
    }
}

/// Whether two sockets cannot both be had.
fn collide(one: SocketAddr, other: SocketAddr) -> bool {
    let everywhere = |ip: IpAddr| ip.is_unspecified();
    one.port() == other.port()
        && other.port() != 0
        && (one.ip() == other.ip() || everywhere(one.ip()) || everywhere(other.ip()))
}

/// The address of a line of `/proc/net/tcp` or `tcp6`, where it listens: words of four bytes in
/// the machine's order, as digits.
fn listening(line: &str) -> Option<SocketAddr> {
    let mut words = line.split_ascii_whitespace().skip(1);
    let (ip, port) = words.next()?.split_once(':')?;
    if words.nth(1)? != LISTENS {
        return None;
    }
    let mut bytes = Vec::with_capacity(16);
    for at in (0..ip.len()).step_by(8) {
        let word = u32::from_str_radix(ip.get(at..at + 8)?, 16).ok()?;
        bytes.extend_from_slice(&word.to_ne_bytes());
    }
    let ip: IpAddr = match bytes.len() {
        4 => IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?),
        16 => IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?).to_canonical(),
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_read_as_the_kernel_writes_them() {
        let line = "   0: 0100007F:1388 00000000:0000 0A 00000000:00000000 00:00000000 00000000";
        assert_eq!(listening(line), "127.0.0.1:5000".parse().ok());
        let line = "   1: 00000000000000000000000000000000:1388 0000:0000 0A 0:0 00:0";
        assert_eq!(listening(line), "[::]:5000".parse().ok());
        let line = "   2: 0100007F:1388 0100007F:9999 01 00000000:00000000";
        assert_eq!(listening(line), None, "connected, not listening");
    }

    #[test]
    fn everywhere_collides_with_anywhere() {
        let at = |text: &str| text.parse::<SocketAddr>().expect("an address");
        assert!(collide(at("0.0.0.0:5000"), at("127.0.0.1:5000")));
        assert!(!collide(at("127.0.0.2:5000"), at("127.0.0.1:5000")));
        assert!(!collide(at("127.0.0.1:5000"), at("127.0.0.1:5001")));
    }
}
