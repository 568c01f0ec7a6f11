//! Real texts of several kernels and of systemd, texts that are cut or wrong, and a machine in a
//! folder with files missing.

use std::path::Path;
use std::sync::Arc;

use super::parse;
use super::*;
use crate::seams::clock::SystemClock;
use crate::seams::files::{Access, Files as _, RealFiles};

/// Linux 2.6.9: no steal, no guests.
const STAT_2_6: &str = "\
cpu  10132153 290696 3084719 46828483 16683 5 25195
cpu0 1393280 32966 572056 13343292 6130 0 17875
intr 47965
ctxt 38014093
btime 1062191376
";

/// Linux 6.18, two processors.
const STAT_6_18: &str = "\
cpu  87440 12 17513 253220 1461 3 107 80 0 0
cpu0 39588 0 8233 131592 372 0 11 39 0 0
cpu1 47852 0 9280 121628 1089 0 95 40 0 0
intr 9087 0 0
softirq 10 0 1 2
";

#[test]
fn processors_are_read_from_old_and_new_kernels() {
    let (old, one) = parse::cpu(STAT_2_6);
    let expected = CpuTicks {
        user: 10_422_849,
        system: 3_084_719 + 5 + 25_195,
        idle: 46_828_483,
        iowait: 16_683,
        steal: 0,
    };
    assert_eq!((old, one), (Some(expected), Some(1)));
    let (new, two) = parse::cpu(STAT_6_18);
    let new = new.expect("ticks");
    assert_eq!((new.user, new.system, new.steal), (87_452, 17_623, 80));
    assert_eq!(two, Some(2));
}

#[test]
fn memory_is_read_with_and_without_what_is_available() {
    let new = "MemTotal:        8000 kB\nMemFree:         1000 kB\nMemAvailable:    5000 kB\n\
        Buffers:          10 kB\nCached:         3000 kB\nSwapCached:        7 kB\n\
        SwapTotal:       2000 kB\nSwapFree:        500 kB\n";
    let expected = Memory {
        total: 8_192_000,
        available: 5_120_000,
        swap_total: 2_048_000,
        swap_free: 512_000,
    };
    assert_eq!(parse::memory(new), Some(expected));
    // Linux 3.10 (CentOS 7): shared memory is in `Cached` and cannot be dropped.
    let old = "MemTotal:        8000 kB\nMemFree:         1000 kB\nBuffers:          10 kB\n\
        Cached:         3000 kB\nShmem:           500 kB\nSwapTotal:          0 kB\n";
    let old = parse::memory(old).expect("memory");
    assert_eq!(old.available, (1000 + 10 + 2500) * 1024);
    assert_eq!((old.swap_total, old.swap_free), (0, 0));
}

#[test]
fn pressure_load_handles_and_kills_are_read() {
    let text = "some avg10=1.53 avg60=0.87 avg300=0.25 total=8434217\n\
        full avg10=0.00 avg60=0.13 avg300=0.09 total=3812345\n";
    assert_eq!(parse::pressure(text), Some(8_434_217));
    // Linux 4.20 to 5.12 have no `full` line for processors.
    let one = "some avg10=0.00 avg60=0.00 avg300=0.00 total=12\n";
    assert_eq!(parse::pressure(one), Some(12));
    let load = parse::load("1.17 1.18 0.78 3/110 25688\n").expect("load");
    assert!((load.five - 1.18).abs() < 1e-9);
    let handles = Handles {
        open: 821,
        most: 2_466_170,
    };
    assert_eq!(parse::file_nr("821\t0\t2466170\n"), Some(handles));
    let vmstat = "oom_kill_disable 7\npgfault 12\noom_kill 3\n";
    assert_eq!(parse::keyed(vmstat, "oom_kill"), Some(3));
    let limits = "Limit            Soft Limit  Hard Limit  Units\n\
        Max processes    96176       96176       processes\n\
        Max open files   1024        1048576     files\n";
    assert_eq!(parse::own_most(limits), Some(1024));
    let unlimited = "Max open files   unlimited   unlimited   files\n";
    assert_eq!(parse::own_most(unlimited), None);
}

#[test]
fn a_byte_is_counted_on_one_device_only() {
    let text = "   7       0 loop0 5 0 10 0 0 0 0 0 0 0 0\n\
         259       0 nvme0n1 100 0 2000 50 10 0 400 5 0 55 55\n\
         259       1 nvme0n1p1 90 0 1900 45 9 0 390 5 0 50 50\n\
         253       0 dm-0 90 0 1900 45 9 0 390 5 0 50 50 0 0 0 0 1 2\n\
           8       0 sda 1 0 8 0 1 0 16 0 0 0 0 0 0 0 0\n";
    let whole = ["dm-0", "loop0", "nvme0n1", "sda"].map(str::to_owned);
    let expected = Traffic {
        inward: 2008 * 512,
        outward: 416 * 512,
    };
    assert_eq!(parse::disks(text, &whole), Some(expected));
    assert_eq!(parse::disks(text, &[]), None);
    let cards = "\
Inter-|   Receive                        |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs
    lo: 2840363   10974    0    0    0     0          0         0  2840363   10974    0 0 0 0 0 0
  eth0:1000 7 0 0 0 0 0 0 300 4 0 0 0 0 0 0
docker0: 500 7 0 0 0 0 0 0 600 4 0 0 0 0 0 0
";
    let expected = Traffic {
        inward: 1000,
        outward: 300,
    };
    assert_eq!(parse::network(cards), Some(expected));
}

#[test]
fn a_text_that_is_cut_or_wrong_says_nothing() {
    let rubbish = [
        "",
        "\n\n",
        "cpu",
        "cpu ",
        "cpu  1 2",
        "some total=",
        "some avg10=0.00",
        "MemTotal: 0 kB\nMemAvailable: 5 kB\n",
        "MemTotal: many kB\n",
        "nan inf 1",
        "-1 0 0",
        "1.0 2.0",
        "eth0: 1 2 3",
        "1 2",
        "\u{fffd}\u{0}=:=: : :",
        "Max open files",
    ];
    for text in rubbish {
        assert_eq!(parse::cpu(text).0, None, "{text:?}");
        assert_eq!(parse::load(text), None, "{text:?}");
        assert_eq!(parse::pressure(text), None, "{text:?}");
        assert_eq!(parse::memory(text), None, "{text:?}");
        assert_eq!(parse::file_nr(text), None, "{text:?}");
        assert_eq!(parse::own_most(text), None, "{text:?}");
        assert_eq!(parse::network(text), None, "{text:?}");
        assert_eq!(parse::keyed(text, "oom_kill"), None, "{text:?}");
        assert_eq!(parse::number(text), None, "{text:?}");
        assert_eq!(parse::clock(text), ClockSync::Unknown, "{text:?}");
    }
    // Cut anywhere, nothing panics.
    for text in [STAT_2_6, STAT_6_18] {
        for end in 0..text.len() {
            parse::cpu(text.get(..end).unwrap_or_default());
        }
    }
    let most = format!("cpu {0} {0} {0} {0} {0} {0} {0} {0}", u64::MAX);
    assert_eq!(
        parse::cpu(&most).0.map(|ticks| ticks.user),
        Some(u64::MAX),
        "numbers at their end do not overflow"
    );
}

/// What systemd 252 shows for a unit that runs, one that keeps dying and one that is not there.
const SHOWN: &str = "\
Result=success
NRestarts=2
MainPID=812
ControlGroup=/system.slice/shop.service
MemoryCurrent=104857600
TasksCurrent=12
MemoryMax=infinity
LoadState=loaded
ActiveState=active
SubState=running

Result=exit-code
NRestarts=5
MainPID=0
ControlGroup=
MemoryCurrent=[not set]
TasksCurrent=[not set]
MemoryMax=18446744073709551615
LoadState=loaded
ActiveState=activating
SubState=auto-restart

Result=success
NRestarts=0
MainPID=0
ControlGroup=
MemoryCurrent=18446744073709551615
TasksCurrent=[not set]
LoadState=not-found
ActiveState=inactive
SubState=dead
";

#[test]
fn units_are_told_apart() {
    let names = ["shop.service", "mail.service", "gone.service"].map(str::to_owned);
    let shown = parse::units(SHOWN, &names);
    let shop = &shown["shop.service"];
    assert_eq!(shop.unit.state, UnitState::Active);
    assert_eq!(shop.unit.said, "active (running)");
    assert_eq!(shop.unit.restarts, Some(2));
    assert_eq!(shop.unit.memory, Some(104_857_600));
    assert_eq!(shop.unit.memory_most, None);
    assert_eq!(shop.main, Some(812));
    assert_eq!(shop.group.as_deref(), Some("/system.slice/shop.service"));
    let mail = &shown["mail.service"];
    assert_eq!(mail.unit.state, UnitState::Failed);
    assert_eq!(mail.unit.said, "activating (auto-restart, exit-code)");
    assert_eq!((mail.unit.memory, mail.main), (None, None));
    let gone = &shown["gone.service"];
    assert_eq!(gone.unit.state, UnitState::Missing);
    assert_eq!(gone.unit.said, "not found");
    // Fewer blocks than names, or none: nothing is guessed.
    assert!(parse::units(SHOWN, names.get(..2).expect("two")).is_empty());
    assert!(parse::units("", &names).is_empty());
}

fn put(root: &Path, name: &str, text: &str) {
    let path = root.join(name);
    let folder = path.parent().expect("a folder");
    RealFiles.create_dir_all(folder).expect("folder made");
    let written = RealFiles.write_new(&path, text.as_bytes(), Access::PRIVATE);
    written.expect("file written");
}

fn look(root: &Path, wanted: Wanted) -> Reading {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let host = RealHost::under(root, Arc::new(RealFiles), Arc::new(SystemClock::new()));
    runtime.block_on(host.read(Arc::new(wanted)))
}

#[test]
fn an_empty_machine_is_unknown_and_not_well() {
    let folder = tempfile::tempdir().expect("a folder");
    let wanted = Wanted {
        mounts: vec!["/no/such/folder".to_owned()],
        units: vec!["shop.service".to_owned()],
    };
    let reading = look(folder.path(), wanted);
    let mut expected = Reading::default();
    expected.volumes.insert("/no/such/folder".to_owned(), None);
    let unknown = UnitReading::default();
    assert_eq!(unknown.state, UnitState::Unknown);
    expected.units.insert("shop.service".to_owned(), unknown);
    assert_eq!(reading, expected);
    assert_eq!(reading.clock, ClockSync::Unknown);
}

#[test]
fn a_machine_in_a_folder_is_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path();
    put(root, "proc/stat", STAT_6_18);
    put(root, "proc/loadavg", "0.10 0.20 0.30 1/99 100\n");
    put(root, "proc/sys/kernel/random/boot_id", "8f2c-11\n");
    put(
        root,
        "proc/self/limits",
        "Max open files   10   20   files\n",
    );
    put(root, "proc/self/fd/0", "");
    put(root, "proc/self/fd/1", "");
    put(root, "run/systemd/timesync/synchronized", "");
    let mount = root.display().to_string();
    let wanted = Wanted {
        mounts: vec![mount.clone()],
        units: vec![],
    };
    let reading = look(root, wanted);
    assert_eq!(reading.cpus, Some(2));
    assert_eq!(reading.boot_id.as_deref(), Some("8f2c-11"));
    assert_eq!(reading.own_handles, Some(Handles { open: 2, most: 10 }));
    assert_eq!(reading.clock, ClockSync::Synced);
    assert_eq!(
        reading.pressure,
        Pressure::default(),
        "no such files, no figures"
    );
    assert_eq!((reading.memory, reading.disks), (None, None));
    let volume = reading.volumes[&mount].expect("the disk of the folder");
    assert!(volume.used > 0 && volume.available > 0);
}

#[test]
fn this_machine_says_what_the_kernel_of_today_says() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let host = RealHost::new(Arc::new(RealFiles), Arc::new(SystemClock::new()));
    let wanted = Wanted {
        mounts: vec!["/".to_owned()],
        units: vec!["no-such-unit-anywhere.service".to_owned()],
    };
    let reading = runtime.block_on(host.read(Arc::new(wanted)));
    let memory = reading.memory.expect("memory");
    assert!(memory.total >= memory.available && memory.available > 0);
    assert!(reading.cpu.is_some() && reading.cpus > Some(0) && reading.load.is_some());
    assert!(reading.own_handles.is_some_and(|own| own.open < own.most));
    // Texts under /proc/sys end after the first read, however short.
    assert!(reading.handles.is_some_and(|all| all.open < all.most));
    assert!(reading.boot_id.is_some_and(|id| id.len() == 36));
    assert!(reading.volumes["/"].is_some());
    // Found missing where systemd runs, unknown where it does not; never running.
    let state = reading.units["no-such-unit-anywhere.service"].state;
    assert!(matches!(state, UnitState::Missing | UnitState::Unknown));
}
