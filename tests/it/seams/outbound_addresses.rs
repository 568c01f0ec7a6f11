//! Which addresses and URLs a call may have: the table of rule H12, odd spellings, and the rules
//! that open what is private.

use std::net::{IpAddr, SocketAddr};

use echopilot::seams::outbound::{Allow, Host, Refusal, Rule, Special, Target, Url, special};

/// Every special range at its first and last address or at a telling one.
#[rustfmt::skip]
const SPECIAL: [(&str, &str); 88] = [
    ("0.0.0.0", "unspecified"), ("0.1.2.3", "unspecified"), ("0.255.255.255", "unspecified"),
    ("10.0.0.0", "private"), ("10.255.255.255", "private"), ("172.16.0.0", "private"),
    ("172.31.255.255", "private"), ("192.168.0.0", "private"), ("192.168.255.255", "private"),
    ("100.64.0.0", "carrier_nat"), ("100.127.255.255", "carrier_nat"),
    ("127.0.0.1", "loopback"), ("127.0.0.0", "loopback"), ("127.255.255.255", "loopback"),
    ("169.254.0.1", "link_local"), ("169.254.255.255", "link_local"),
    ("169.254.169.254", "metadata"), ("169.254.170.2", "metadata"), ("100.100.100.200", "metadata"),
    ("168.63.129.16", "metadata"), ("192.0.0.192", "metadata"),
    ("192.0.0.1", "reserved"), ("192.0.0.170", "reserved"), ("192.0.2.0", "documentation"),
    ("192.0.2.255", "documentation"), ("198.51.100.7", "documentation"), ("203.0.113.9", "documentation"),
    ("192.88.99.1", "tunnel"), ("198.18.0.0", "benchmark"), ("198.19.255.255", "benchmark"),
    ("224.0.0.1", "multicast"), ("239.255.255.255", "multicast"), ("240.0.0.1", "reserved"),
    ("255.255.255.254", "reserved"), ("255.255.255.255", "broadcast"),
    ("::", "unspecified"), ("::1", "loopback"), ("::2", "tunnel"),
    ("::127.0.0.1", "tunnel"), ("::8.8.8.8", "tunnel"), ("::7f00:1", "tunnel"),
    ("::ffff:127.0.0.1", "loopback"), ("::ffff:7f00:1", "loopback"), ("::ffff:10.1.2.3", "private"),
    ("::ffff:169.254.169.254", "metadata"), ("::ffff:0.0.0.0", "unspecified"),
    ("::ffff:192.168.1.1", "private"), ("::ffff:100.64.0.1", "carrier_nat"),
    ("::ffff:0:127.0.0.1", "loopback"), ("::ffff:0:10.0.0.1", "private"),
    ("64:ff9b::127.0.0.1", "loopback"), ("64:ff9b::a00:1", "private"), ("64:ff9b::a9fe:a9fe", "metadata"),
    ("64:ff9b:1::1", "private"), ("64:ff9b:1:ffff::808:808", "private"),
    ("2002:7f00:1::", "loopback"), ("2002:a00:1::1", "private"), ("2002:c0a8:101::1", "private"),
    ("2002:a9fe:a9fe::", "metadata"), ("2002::", "unspecified"),
    ("2001::1", "tunnel"), ("2001:0:4136:e378:8000:63bf:3fff:fdd2", "tunnel"),
    ("2001:2::1", "benchmark"), ("2001:10::1", "reserved"), ("2001:20::1", "reserved"),
    ("2001:1ff::1", "reserved"), ("2001:db8::1", "documentation"), ("2001:db8:ffff::", "documentation"),
    ("3fff::1", "documentation"), ("3fff:fff::1", "documentation"), ("3ffe::1", "reserved"),
    ("fc00::1", "private"), ("fd00::1", "private"), ("fdff:ffff::1", "private"),
    ("fd00:ec2::254", "metadata"), ("fd20:ce::254", "metadata"),
    ("fe80::1", "link_local"), ("febf:ffff::1", "link_local"), ("fec0::1", "private"),
    ("feff::1", "private"), ("ff02::1", "multicast"), ("ff0e::101", "multicast"),
    ("100::1", "reserved"), ("100:0:0:1::1", "reserved"), ("5f00::1", "reserved"),
    ("4000::1", "reserved"), ("1::1", "reserved"), ("e000::1", "reserved"),
];

/// Neighbours of the special ranges, and hosts everybody knows.
const OPEN: [&str; 30] = [
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.0",
    "168.63.129.17",
    "169.253.255.255",
    "169.255.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "192.0.1.0",
    "192.0.3.0",
    "192.167.255.255",
    "192.169.0.0",
    "198.17.255.255",
    "198.20.0.0",
    "198.51.101.0",
    "203.0.114.0",
    "223.255.255.255",
    "2606:4700:4700::1111",
    "2a00:1450:4001::1",
    "2001:200::1",
    "2001:4860:4860::8888",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
    "2002:808:808::1",
    "3000::1",
];

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap_or_else(|_| panic!("{text}"))
}

fn rules(texts: &[&str]) -> Allow {
    let rules = texts.iter().map(|text| text.parse::<Rule>().expect(text));
    Allow::new("`allow` of the test", rules.collect(), vec![])
}

fn checked(allow: &Allow, host: &str, address: &str, web: bool) -> Result<(), Refusal> {
    let address: SocketAddr = address.parse().expect("an address with a port");
    allow.check(&Host::parse(host).expect("a host"), address, web)
}

#[test]
fn addresses_that_are_not_of_the_open_internet_are_known() {
    for (address, word) in SPECIAL {
        let found = special(ip(address)).map(Special::word);
        assert_eq!(found, Some(word), "{address}");
    }
    for address in OPEN {
        assert_eq!(special(ip(address)), None, "{address}");
    }
}

#[test]
fn odd_spellings_of_addresses_are_refused_with_what_they_mean() {
    for (spelling, meant) in [
        ("2130706433", "127.0.0.1"),
        ("0x7f000001", "127.0.0.1"),
        ("0X7F.1", "127.0.0.1"),
        ("0x7f.1", "127.0.0.1"),
        ("0177.0.0.1", "127.0.0.1"),
        ("017700000001", "127.0.0.1"),
        ("127.1", "127.0.0.1"),
        ("127.0.1", "127.0.0.1"),
        ("127.0.0.01", "127.0.0.1"),
        ("127.0.0.0x1", "127.0.0.1"),
        ("127.0.0.1.", "127.0.0.1"),
        ("0", "0.0.0.0"),
        ("0x", "0.0.0.0"),
        ("10.0x10203", "10.1.2.3"),
        ("2852039166", "169.254.169.254"),
        ("0xa9.0xfe.0xa9.0xfe", "169.254.169.254"),
        ("134744072", "8.8.8.8"),
    ] {
        let fault = Url::parse(&format!("http://{spelling}/")).unwrap_err();
        assert!(fault.found.contains("odd spelling"), "{spelling}: {fault}");
        assert!(fault.hint.contains(meant), "{spelling}: {}", fault.hint);
    }
    for spelling in [
        "256.1.1.1",
        "1.2.3.4.5",
        "4294967296",
        "1.2.3.256",
        "a.1",
        "09",
        "1.2.3.08",
    ] {
        let fault = Host::parse(spelling).unwrap_err();
        assert!(fault.found.contains("is none"), "{spelling}: {fault}");
    }
}

#[test]
fn addresses_are_seen_through_the_forms_of_a_url() {
    for (url, address) in [
        ("http://127.0.0.1/", "127.0.0.1"),
        ("http://[::1]:8080/", "::1"),
        ("HTTP://[::FFFF:127.0.0.1]/", "127.0.0.1"),
        ("http://[::ffff:7f00:1]/", "127.0.0.1"),
        ("http://[0:0:0:0:0:ffff:10.0.0.1]/", "10.0.0.1"),
        ("https://[FE80::1]/", "fe80::1"),
    ] {
        let url = Url::parse(url).expect(url);
        assert_eq!(url.target().host, Host::Address(ip(address)), "{url}");
    }
    for (url, name) in [
        ("http://LOCALHOST/", "localhost"),
        ("http://localhost./", "localhost"),
        ("https://Example.COM.:8443/a?b", "example.com"),
        ("http://xn--bcher-kva.example/", "xn--bcher-kva.example"),
        ("http://127.0.0.1.nip.example/", "127.0.0.1.nip.example"),
        ("http://1password.example", "1password.example"),
        ("http://0x7f.example", "0x7f.example"),
        ("http://_dmarc.example.com", "_dmarc.example.com"),
    ] {
        let url = Url::parse(url).expect(url);
        assert_eq!(url.target().host, Host::Name(name.into()), "{url}");
    }
}

#[test]
fn urls_that_two_programs_could_read_differently_are_refused() {
    for url in [
        "",
        "example.com",
        "//example.com/",
        "ftp://example.com/",
        "file:///etc/passwd",
        "gopher://example.com/",
        "javascript:alert(1)",
        "http:/example.com",
        "http://",
        "http:///path",
        "http://user@example.com/",
        "http://user:password@example.com/",
        "http://example.com@127.0.0.1/",
        "http://127.0.0.1\\@example.com/",
        "http://example.com\\.evil.example/",
        "http://exa mple.com/",
        "http://example.com/\r\nX: y",
        "http://example.com\t/",
        "http://exämple.com/",
        "http://①②⑦.0.0.1/",
        "http://example。com/",
        "http://127.0.0.1%2f@example.com/",
        "http://%31%32%37.0.0.1/",
        "http://example.com:0/",
        "http://example.com:65536/",
        "http://example.com:+80/",
        "http://example.com:80:80/",
        "http://example.com:/",
        "http://[::1/",
        "http://::1/",
        "http://[::1%25eth0]/",
        "http://[fe80::1%eth0]/",
        "http://[127.0.0.1]/",
        "http://[v1.fe80]/",
        "http://example..com/",
        "http://.example.com/",
        "http://a..",
    ] {
        assert!(Url::parse(url).is_err(), "{url:?}");
    }
    let long = format!("http://example.com/{}", "a".repeat(8_000));
    assert!(Url::parse(&long).is_err());
    let label = format!("http://{}.example/", "a".repeat(64));
    assert!(Url::parse(&label).is_err());
}

#[test]
fn a_url_is_shown_without_its_query() {
    let url = Url::parse("https://Example.com:443/hook/x?token=secret#part").expect("a URL");
    assert_eq!(url.to_string(), "https://example.com/hook/x");
    assert_eq!(format!("{url:?}"), "Url(https://example.com/hook/x)");
    assert_eq!(url.request_target(), "/hook/x?token=secret");
    assert_eq!(url.authority(), "example.com");
    let bare = Url::parse("http://[::1]:8080?a").expect("a URL");
    assert_eq!(
        (bare.request_target(), bare.authority()),
        ("/?a".into(), "[::1]:8080".into())
    );
    // Neither does a refused one show what may be a secret.
    let fault = Url::parse("https://user:hunter2@example.com/?token=secret").unwrap_err();
    assert!(!format!("{fault} {}", fault.hint).contains("hunter2"));
}

#[test]
fn targets_have_a_host_and_a_port() {
    for (text, host, port) in [
        ("db.example.com:5432", "db.example.com", 5432),
        ("[::1]:22", "[::1]", 22),
        ("127.0.0.1:1", "127.0.0.1", 1),
    ] {
        let target = Target::parse(text).expect(text);
        assert_eq!(
            (target.host.to_string().as_str(), target.port),
            (host, port)
        );
        assert_eq!(target.to_string(), text);
    }
    for text in [
        "db.example.com",
        "::1:22",
        "a:0",
        "a:b",
        ":22",
        "a:65536",
        "2130706433:80",
    ] {
        assert!(Target::parse(text).is_err(), "{text}");
    }
}

#[test]
fn rules_open_exactly_what_they_name() {
    let none = Allow::default();
    let loopback = Err(Refusal::Address(Special::Loopback));
    assert_eq!(
        checked(&none, "app.example", "127.0.0.1:8080", true),
        loopback
    );
    assert_eq!(checked(&none, "app.example", "1.1.1.1:443", true), Ok(()));

    let port = rules(&["127.0.0.1:8080", "[::1]:8080"]);
    assert_eq!(checked(&port, "127.0.0.1", "127.0.0.1:8080", true), Ok(()));
    assert_eq!(
        checked(&port, "127.0.0.1", "[::ffff:127.0.0.1]:8080", true),
        Ok(())
    );
    assert_eq!(checked(&port, "[::1]", "[::1]:8080", true), Ok(()));
    assert_eq!(checked(&port, "127.0.0.1", "127.0.0.1:22", true), loopback);
    assert_eq!(
        checked(&port, "127.0.0.2", "127.0.0.2:8080", true),
        loopback
    );

    let net = rules(&["10.0.0.0/8", "fd00::/8", "169.254.0.0/16"]);
    assert_eq!(checked(&net, "db", "10.9.8.7:5432", false), Ok(()));
    assert_eq!(checked(&net, "db", "10.9.8.7:5432", true), Ok(()));
    assert_eq!(checked(&net, "db", "[fd12::1]:5432", false), Ok(()));
    assert_eq!(checked(&net, "db", "169.254.1.1:80", false), Ok(()));
    // The credentials of the machine are not opened in passing.
    let metadata = Err(Refusal::Address(Special::Metadata));
    assert_eq!(checked(&net, "db", "169.254.169.254:80", true), metadata);
    assert_eq!(checked(&net, "db", "[fd00:ec2::254]:80", true), metadata);
    let single = rules(&["169.254.169.254"]);
    assert_eq!(checked(&single, "db", "169.254.169.254:80", true), Ok(()));

    // Nor by whoever answers for a name.
    let name = rules(&["db"]);
    assert_eq!(checked(&name, "db", "10.9.8.7:80", true), Ok(()));
    assert_eq!(checked(&name, "db", "169.254.169.254:80", true), metadata);

    let name = rules(&["LocalHost.:3000"]);
    assert_eq!(checked(&name, "localhost", "127.0.0.1:3000", true), Ok(()));
    assert_eq!(
        checked(&name, "localhost", "127.0.0.1:3001", true),
        loopback
    );
    assert_eq!(
        checked(&name, "evil.example", "127.0.0.1:3000", true),
        loopback
    );
    assert_eq!(
        checked(&name, "127.0.0.1", "127.0.0.1:3000", true),
        loopback
    );
}

#[test]
fn http_uses_the_ports_of_web_servers_unless_told() {
    let none = Allow::default();
    for port in [80, 443, 8080, 8443] {
        assert_eq!(
            checked(&none, "a.example", &format!("1.1.1.1:{port}"), true),
            Ok(())
        );
    }
    for port in [22, 25, 6379, 9200] {
        let address = format!("1.1.1.1:{port}");
        let refused = Err(Refusal::Port);
        assert_eq!(checked(&none, "a.example", &address, true), refused);
        assert_eq!(checked(&none, "a.example", &address, false), Ok(()));
        let rule = rules(&[&format!("a.example:{port}")]);
        assert_eq!(checked(&rule, "a.example", &address, true), Ok(()));
        assert_eq!(checked(&rule, "b.example", &address, true), refused);
        let more = Allow::new("here", vec![], vec![port]);
        assert_eq!(checked(&more, "b.example", &address, true), Ok(()));
    }
}

#[test]
fn rules_are_read_and_shown_alike() {
    for text in [
        "127.0.0.1",
        "127.0.0.1:8080",
        "10.0.0.0/8",
        "10.0.0.0/8:5432",
        "fd00::/8",
        "::1",
        "[::1]:8080",
        "localhost",
        "localhost:3000",
        "app.internal.example:80",
    ] {
        assert_eq!(text.parse::<Rule>().expect(text).to_string(), text);
    }
    for text in [
        "",
        "0.0.0.0/0",
        "::/0",
        "2000::/3",
        "10.0.0.1/8",
        "10.0.0.0/33",
        "10.0.0.0/",
        "localhost/8",
        "localhost:0",
        "*.example",
        "2130706433",
        "http://localhost",
        "user@localhost",
    ] {
        assert!(text.parse::<Rule>().is_err(), "{text}");
    }
}
