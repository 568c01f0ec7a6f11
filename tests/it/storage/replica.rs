//! Keeping a copy of a home: whatever happens to the source, to the copy and between them, every
//! byte that is taken over continues what is there, and nothing is overwritten.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use chrono::{TimeZone, Utc};
use echopilot::seams::files::{Files, RealFiles};
use echopilot::storage::anchors::Anchors;
use echopilot::storage::engine::{Barred, Engine, StorageError, StreamOptions};
use echopilot::storage::files::epoch::{self, Fence};
use echopilot::storage::files::{FilesEngine, FilesReader, FilesSettings, OpenError};
use echopilot::storage::replica::{
    FolderSource, Listing, Pass, Place as Spot, ShipOptions, Shipper, Source, SourceError,
};
use echopilot::storage::verify;

use super::support::{OPTIONS, Place, append, appended, read, until};

fn small() -> StreamOptions {
    StreamOptions {
        segment_bytes: 1_000,
        ..OPTIONS
    }
}

fn files() -> Arc<dyn Files> {
    Arc::new(RealFiles)
}

fn source_of(place: &Place) -> FolderSource {
    FolderSource::new(files(), place.folder.path())
}

/// A copy, not yet made.
struct Replica {
    folder: tempfile::TempDir,
}

impl Replica {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for part in ["logs", "configs", "backups/configs", ".echopilot"] {
            fs::create_dir_all(folder.path().join(part)).unwrap();
        }
        Self { folder }
    }

    fn shipper_with(&self, change: impl FnOnce(&mut ShipOptions)) -> Shipper {
        let mut options = ShipOptions {
            home: self.folder.path().to_owned(),
            takes_damaged: false,
            begins_anew: false,
        };
        change(&mut options);
        Shipper::new(files(), options)
    }

    fn shipper(&self) -> Shipper {
        self.shipper_with(|_| {})
    }

    fn logs(&self) -> std::path::PathBuf {
        self.folder.path().join("logs")
    }
}

/// What is in the journals `x` of a home, by file.
fn journal(logs: &Path) -> Vec<(String, Vec<u8>)> {
    let mut names = RealFiles.list(logs).unwrap();
    names.retain(|name| name.starts_with("x.") && !name.contains("aside"));
    names
        .into_iter()
        .map(|name| {
            let bytes = read(&logs.join(&name));
            (name, bytes)
        })
        .collect()
}

fn joined(logs: &Path) -> Vec<u8> {
    journal(logs).into_iter().flat_map(|one| one.1).collect()
}

fn last_pass(shipper: &mut Shipper, source: &mut dyn Source) -> Pass {
    shipper.pass(source, true).unwrap()
}

#[test]
fn a_copy_equals_the_source_through_rotations_and_restarts_at_every_step() {
    let (place, replica) = (Place::new(), Replica::new());
    let engine = place.with_stream_of(small());
    for number in 0..60 {
        append(&engine, number).unwrap();
        // A shipper that lives for one look only: where it stands is in its files alone.
        last_pass(&mut replica.shipper(), &mut source_of(&place));
        assert_eq!(journal(&replica.logs()), journal(&place.logs()), "{number}");
    }
    assert!(journal(&place.logs()).len() > 3);
    let report =
        verify::verify_stream(&RealFiles, &replica.logs(), "x", &Anchors::default()).unwrap();
    assert_eq!(report.bad, Vec::new());
    engine.close();
}

#[test]
fn one_look_fetches_what_many_rotations_left() {
    let (place, replica) = (Place::new(), Replica::new());
    let engine = place.with_stream_of(small());
    let mut shipper = replica.shipper();
    append(&engine, 0).unwrap();
    last_pass(&mut shipper, &mut source_of(&place));
    for number in 1..80 {
        append(&engine, number).unwrap();
    }
    last_pass(&mut shipper, &mut source_of(&place));
    assert_eq!(journal(&replica.logs()), journal(&place.logs()));
}

#[test]
fn a_torn_tail_of_the_copy_is_cut_and_fetched_again() {
    let (place, replica) = (Place::new(), Replica::new());
    let engine = place.with_stream_of(OPTIONS);
    for number in 0..5 {
        append(&engine, number).unwrap();
    }
    last_pass(&mut replica.shipper(), &mut source_of(&place));
    let whole = read(&replica.logs().join("x.ndjson"));
    let start = whole[..whole.len() - 1]
        .iter()
        .rposition(|byte| *byte == b'\n')
        .unwrap()
        + 1;
    for cut in start..whole.len() {
        fs::write(replica.logs().join("x.ndjson"), &whole[..cut]).unwrap();
        last_pass(&mut replica.shipper(), &mut source_of(&place));
        assert_eq!(
            read(&replica.logs().join("x.ndjson")),
            whole,
            "cut at {cut}"
        );
    }
}

#[test]
fn a_folder_is_copied_one_look_late_because_a_writer_may_take_bytes_back() {
    let (place, replica) = (Place::new(), Replica::new());
    let engine = place.with_stream_of(OPTIONS);
    append(&engine, 0).unwrap();
    let (mut shipper, mut source) = (replica.shipper(), source_of(&place));
    shipper.pass(&mut source, false).unwrap();
    assert_eq!(journal(&replica.logs()), Vec::new());
    shipper.pass(&mut source, false).unwrap();
    assert_eq!(journal(&replica.logs()), journal(&place.logs()));
}

#[test]
fn a_source_that_was_cut_or_is_another_one_is_not_followed_and_nothing_is_overwritten() {
    let (place, replica) = (Place::new(), Replica::new());
    let engine = place.with_stream_of(OPTIONS);
    for number in 0..5 {
        append(&engine, number).unwrap();
    }
    engine.close();
    let mut shipper = replica.shipper();
    last_pass(&mut shipper, &mut source_of(&place));
    let ours = journal(&replica.logs());

    let whole = read(&place.active());
    fs::write(place.active(), &whole[..whole.len() / 2]).unwrap();
    let pass = last_pass(&mut shipper, &mut source_of(&place));
    assert!(pass.apart["x"].contains("were copied before"), "{pass:?}");
    assert_eq!(journal(&replica.logs()), ours);

    let other = Place::new();
    let engine = other.with_stream_of(small());
    for number in 0..40 {
        append(&engine, number).unwrap();
    }
    let pass = last_pass(&mut shipper, &mut source_of(&other));
    assert!(!pass.apart["x"].is_empty());
    assert_eq!(journal(&replica.logs()), ours);

    // Wanted, it is set aside and fetched again.
    let mut anew = replica.shipper_with(|options| options.begins_anew = true);
    for _look in 0..4 {
        last_pass(&mut anew, &mut source_of(&other));
    }
    assert_eq!(journal(&replica.logs()), journal(&other.logs()));
    let aside = RealFiles.list(&replica.logs()).unwrap();
    let kept = aside
        .iter()
        .find(|name| name.starts_with("x.") && name.contains("aside"))
        .unwrap();
    assert_eq!(read(&replica.logs().join(kept)), ours[0].1);
}

#[test]
fn a_segment_that_opens_elsewhere_is_not_taken_for_the_next_one() {
    let (place, other, replica) = (Place::new(), Place::new(), Replica::new());
    for (home, numbers) in [(&place, 0..40), (&other, 100..140)] {
        let engine = home.with_stream_of(small());
        for number in numbers {
            append(&engine, number).unwrap();
        }
        engine.close();
    }
    // The first segments of one home and the later ones of another: each whole by itself.
    let first = journal(&place.logs()).remove(0);
    fs::write(replica.logs().join(&first.0), &first.1).unwrap();
    fs::remove_file(other.logs().join(&journal(&other.logs())[0].0)).unwrap();
    let ours = journal(&replica.logs());
    let pass = last_pass(&mut replica.shipper(), &mut source_of(&other));
    assert!(!pass.apart["x"].is_empty());
    assert_eq!(journal(&replica.logs()), ours);
}

#[test]
fn a_flipped_bit_in_a_sealed_segment_is_not_taken_over_silently() {
    let place = Place::new();
    let engine = place.with_stream_of(small());
    for number in 0..30 {
        append(&engine, number).unwrap();
    }
    engine.close();
    let (name, good) = journal(&place.logs()).remove(0);
    for at in (0..good.len()).step_by(41) {
        let mut bad = good.clone();
        bad[at] ^= 1;
        fs::write(place.logs().join(&name), &bad).unwrap();
        let replica = Replica::new();
        let pass = last_pass(&mut replica.shipper(), &mut source_of(&place));
        assert!(pass.apart.contains_key("x"), "byte {at}: {pass:?}");
        assert!(!replica.logs().join(&name).exists(), "byte {at}");
    }
    // Who knows of it may take it as it is.
    let replica = Replica::new();
    let mut gone = FolderSource::new(files(), Path::new("/nowhere/at/all"));
    assert!(replica.shipper().pass(&mut gone, true).is_err());
    let mut shipper = replica.shipper_with(|options| options.takes_damaged = true);
    let pass = last_pass(&mut shipper, &mut source_of(&place));
    assert!(pass.apart.is_empty(), "{pass:?}");
    assert_eq!(journal(&replica.logs()), journal(&place.logs()));
}

#[test]
fn a_compressed_segment_is_copied_as_it_is_and_is_the_same_as_the_plain_one() {
    let (place, late, early) = (Place::new(), Replica::new(), Replica::new());
    let engine = place.with_stream_of(small());
    for number in 0..30 {
        append(&engine, number).unwrap();
    }
    let mut shipper = early.shipper();
    last_pass(&mut shipper, &mut source_of(&place));
    let (name, plain) = journal(&place.logs()).remove(0);
    let packed = zstd::stream::encode_all(&plain[..], 3).unwrap();
    fs::write(place.logs().join(format!("{name}.zst")), packed).unwrap();
    fs::remove_file(place.logs().join(&name)).unwrap();
    append(&engine, 30).unwrap();
    last_pass(&mut late.shipper(), &mut source_of(&place));
    assert_eq!(journal(&late.logs()), journal(&place.logs()));
    let pass = last_pass(&mut shipper, &mut source_of(&place));
    assert!(pass.apart.is_empty(), "{pass:?}");
    assert!(early.logs().join(&name).exists());
}

/// A source that garbles, cuts or refuses every so many answers.
struct Rough<'a> {
    inner: FolderSource,
    turn: u64,
    garble: &'a (dyn Fn(u64, &mut Vec<u8>) -> bool + Sync),
}

impl Source for Rough<'_> {
    fn name(&self) -> String {
        self.inner.name()
    }
    fn list(&mut self, snapshots: bool) -> Result<Listing, SourceError> {
        self.inner.list(snapshots)
    }
    fn read(
        &mut self,
        place: &Spot,
        inode: Option<u64>,
        offset: u64,
        most: usize,
    ) -> Result<Vec<u8>, SourceError> {
        let mut bytes = self.inner.read(place, inode, offset, most)?;
        self.turn += 1;
        if (self.garble)(self.turn, &mut bytes) {
            return Ok(bytes);
        }
        Err(SourceError::Odd {
            what: place.path(),
            found: "nothing".to_owned(),
        })
    }
    fn may_take_back(&self) -> bool {
        false
    }
}

#[test]
fn garbled_cut_and_missing_answers_cost_a_look_and_nothing_else() {
    let (place, replica) = (Place::new(), Replica::new());
    fs::create_dir_all(place.folder.path().join("configs")).unwrap();
    let engine = place.with_stream_of(small());
    let mut shipper = replica.shipper();
    let garble = |turn: u64, bytes: &mut Vec<u8>| {
        match turn % 5 {
            0 => bytes.truncate(bytes.len() / 2),
            1 => bytes
                .iter_mut()
                .skip(3)
                .step_by(50)
                .for_each(|byte| *byte ^= 0x20),
            2 => bytes.extend_from_slice(b"{\"more\":1}\n"),
            3 => return false,
            _ => {}
        }
        true
    };
    let mut source = Rough {
        inner: source_of(&place),
        turn: 0,
        garble: &garble,
    };
    for number in 0..60 {
        append(&engine, number).unwrap();
        let body = format!("{{\"turn\":{number}}}");
        fs::write(place.folder.path().join("configs/a.json"), body).unwrap();
        let _refused = shipper.pass(&mut source, true);
        let [ours, theirs] = [&replica.logs(), &place.logs()].map(|logs| joined(logs));
        assert!(theirs.starts_with(&ours), "{number}");
    }
    until("the copy is whole", || {
        let _refused = shipper.pass(&mut source, true);
        let paper = fs::read_to_string(replica.folder.path().join("configs/a.json"));
        journal(&replica.logs()) == journal(&place.logs())
            && paper.is_ok_and(|text| text == "{\"turn\":59}")
    });
}

#[test]
fn configurations_follow_with_their_modes_and_keys_stay_private() {
    use std::os::unix::fs::PermissionsExt;
    let (place, replica) = (Place::new(), Replica::new());
    let engine = place.with_stream_of(OPTIONS);
    let there = place.folder.path().join("configs");
    let here = replica.folder.path().join("configs");
    fs::write(there.join("keys.json"), "{\"keys\":{}}").unwrap();
    fs::write(there.join("flags.json"), "{\"a\":1}").unwrap();
    fs::set_permissions(there.join("keys.json"), PermissionsExt::from_mode(0o644)).unwrap();
    fs::set_permissions(there.join("flags.json"), PermissionsExt::from_mode(0o660)).unwrap();
    engine.keep_snapshot("flags.json", b"{\"a\":0}").unwrap();
    let mut shipper = replica.shipper();
    last_pass(&mut shipper, &mut source_of(&place));
    let mode = |name: &str| fs::metadata(here.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("keys.json"), mode("flags.json")), (0o600, 0o660));
    let kept = RealFiles
        .list(&replica.folder.path().join("backups/configs/flags"))
        .unwrap();
    assert_eq!(kept.len(), 1);

    fs::write(there.join("flags.json"), "{\"a\":2}").unwrap();
    fs::write(there.join("keys.json"), "").unwrap();
    let pass = last_pass(&mut shipper, &mut source_of(&place));
    assert!(pass.papers_changed);
    assert_eq!(
        fs::read_to_string(here.join("flags.json")).unwrap(),
        "{\"a\":2}"
    );
    assert_eq!(
        fs::read_to_string(here.join("keys.json")).unwrap(),
        "{\"keys\":{}}"
    );
    // The text that was replaced is kept.
    let kept = RealFiles
        .list(&replica.folder.path().join("backups/configs/flags"))
        .unwrap();
    assert_eq!(kept.len(), 2);
}

#[test]
fn a_listing_cannot_name_a_file_outside() {
    for text in [
        "logs/../configs/keys.json",
        "configs/../.echopilot/daemon.json",
        "configs/.hidden.json",
        "secrets/token",
        "logs/x.txt",
        "/etc/passwd",
        "backups/configs/../x/0123456789abcdef.json",
        "backups/configs/x/secret.json",
        "logs/.views/x",
    ] {
        assert_eq!(Spot::parse(text), None, "{text}");
    }
    for text in [
        "logs/x.ndjson",
        "configs/keys.json",
        "backups/configs/keys/0123456789abcdef.json",
    ] {
        assert_eq!(Spot::parse(text).unwrap().path(), text);
    }
}

fn fence(epoch: u64) -> Fence {
    Fence {
        epoch,
        at: Utc.timestamp_opt(1_800_000_000, 0).unwrap(),
        by: "http://other:5000".to_owned(),
    }
}

#[test]
fn a_fence_stops_a_running_writer_at_once_and_for_good() {
    let place = Place::new();
    let engine = place.with_stream_of(OPTIONS);
    append(&engine, 0).unwrap();
    epoch::set_fence(&RealFiles, place.folder.path(), &fence(2)).unwrap();
    let before = journal(&place.logs());
    for _try in 0..3 {
        let refused = append(&engine, 1);
        let Err(StorageError::Barred { why, .. }) = refused else {
            panic!("{refused:?}");
        };
        assert!(matches!(*why, Barred::Fenced { epoch: 2, .. }));
    }
    assert!(engine.replace("a.json", None, b"{}").is_err());
    assert_eq!(engine.medium().refusing, Some("storage_fenced"));
    fs::remove_file(place.folder.path().join(".echopilot/fence.json")).unwrap();
    append(&engine, 1).unwrap_err();
    engine.close();
    assert_eq!(journal(&place.logs()), before);
    assert_eq!(appended(&engine), [(1, 0)]);
}

#[test]
fn a_fenced_home_is_not_opened_for_writing_and_reads_as_ever() {
    let place = Place::new();
    let engine = place.with_stream_of(OPTIONS);
    append(&engine, 0).unwrap();
    engine.close();
    drop(engine);
    let home = place.folder.path();
    // Not higher than our own: somebody's old fence.
    epoch::set_fence(&RealFiles, home, &fence(1)).unwrap();
    place.engine().close();
    epoch::set_fence(&RealFiles, home, &fence(2)).unwrap();
    let before = journal(&place.logs());
    let clock = Arc::new(echopilot::seams::clock::SystemClock::new());
    let opened = FilesEngine::open(FilesSettings::new(home), files(), clock);
    let Err(OpenError::Barred { why, .. }) = opened else {
        panic!("{opened:?}");
    };
    let reader = FilesReader::new(files(), home, why);
    reader.open("x", OPTIONS).unwrap();
    assert_eq!(appended(&reader), [(1, 0)]);
    append(&reader, 1).unwrap_err();
    assert_eq!(journal(&place.logs()), before);
    // A fence that cannot be read stops as well.
    fs::write(home.join(".echopilot/fence.json"), "garbage").unwrap();
    let clock = Arc::new(echopilot::seams::clock::SystemClock::new());
    let opened = FilesEngine::open(FilesSettings::new(home), files(), clock);
    assert!(
        matches!(opened, Err(OpenError::Barred { .. })),
        "{opened:?}"
    );
}

#[test]
fn a_reader_tells_followers_of_what_was_shipped() {
    let (place, replica) = (Place::new(), Replica::new());
    let engine = place.with_stream_of(small());
    append(&engine, 0).unwrap();
    let mut shipper = replica.shipper();
    last_pass(&mut shipper, &mut source_of(&place));
    let why = Arc::new(Barred::Standby {
        primary: "elsewhere".to_owned(),
    });
    let reader = FilesReader::new(files(), replica.folder.path(), why);
    reader.open("x", OPTIONS).unwrap();
    reader.open("later", OPTIONS).unwrap();
    let followed = reader.follow("x").unwrap();
    assert_eq!(*followed.borrow(), 1);
    for number in 1..30 {
        append(&engine, number).unwrap();
        last_pass(&mut shipper, &mut source_of(&place));
        reader.look();
        assert_eq!(
            Some(*followed.borrow()),
            engine.health("x").map(|one| one.last_seq)
        );
        assert_eq!(appended(&reader).len() as u64, number + 1);
    }
    assert_eq!(reader.health("x").unwrap().refusing, None);
}
