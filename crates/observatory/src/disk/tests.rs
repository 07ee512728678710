use proptest::prelude::*;

use super::*;

/// Opens the log of a folder; what was in it.
fn open(folder: &Path) -> (Log, Vec<Vec<u8>>, Replayed) {
    let mut found = Vec::new();
    let (log, replayed) = Log::open(folder, 100, |_, record| {
        found.push(record.to_vec());
        Some(record.len() as u64)
    })
    .unwrap();
    (log, found, replayed)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn size(folder: &Path) -> u64 {
    files(folder).iter().map(|file| fs::metadata(file).unwrap().len()).sum()
}

#[test]
fn records_come_back_in_order_over_files_and_starts() {
    let folder = tempfile::tempdir().unwrap();
    let record = |number: u8| vec![number; 40];
    for start in 0..3_u8 {
        let (mut log, found, replayed) = open(folder.path());
        assert_eq!(found, (0..start * 5).map(record).collect::<Vec<_>>());
        assert_eq!(replayed, Replayed { records: u64::from(start) * 5, damaged: 0 });
        (start * 5..start * 5 + 5).for_each(|number| log.append(&record(number), 40));
        assert_eq!(log.health().bytes(), size(folder.path()));
    }
    assert_eq!(files(folder.path()).len(), 6, "three records, then two, a file");
}

#[test]
fn files_of_which_every_mark_has_passed_are_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let (mut log, ..) = open(folder.path());
    (1..=7).for_each(|mark| log.append(&[7; 40], mark));
    log.forget(3);
    assert_eq!(files(folder.path()).len(), 3, "the first one holds marks 1 to 3");
    log.forget(4);
    assert_eq!(files(folder.path()).len(), 2);
    log.forget(100);
    assert_eq!(files(folder.path()).len(), 1, "the one that is written to stays");
    assert_eq!(log.health().bytes(), size(folder.path()));
}

#[test]
fn what_cannot_be_read_is_passed_over_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let (mut log, ..) = open(folder.path());
    (0..8).for_each(|number| log.append(&[number; 40], 0));
    drop(log);
    let [first, second, third] = files(folder.path()).try_into().unwrap();
    let mut bytes = fs::read(&first).unwrap();
    bytes[60] ^= 1;
    fs::write(&first, bytes).unwrap();
    let bytes = fs::read(&second).unwrap();
    fs::write(&second, &bytes[..bytes.len() - 5]).unwrap();
    fs::remove_file(&third).unwrap();
    fs::create_dir(&third).unwrap();
    let (log, found, replayed) = open(folder.path());
    assert_eq!(found.iter().map(|record| record[0]).collect::<Vec<_>>(), [0, 2, 3, 4], "all but 1, 5, and the file");
    assert_eq!(replayed, Replayed { records: 4, damaged: 3 });
    assert_eq!(log.health().damaged(), 3);
    assert_eq!(log.file(), 3, "nobody writes into what is there");
    let (_, found, replayed) = open(folder.path());
    assert_eq!((found.len(), replayed.damaged), (4, 2), "the torn end has been cut off");
}

#[test]
fn a_log_that_cannot_write_goes_on_where_it_can_again() {
    let outside = tempfile::tempdir().unwrap();
    let folder = outside.path().join("log");
    let (mut log, ..) = open(&folder);
    fs::remove_dir(&folder).unwrap();
    log.append(b"lost", 0);
    log.append(b"lost", 0);
    assert_eq!(log.health().failures(), 2);
    fs::create_dir(&folder).unwrap();
    log.append(b"kept", 0);
    assert_eq!(log.health().failures(), 2);
    assert_eq!(open(&folder).1, [b"kept"]);
}

/// `/dev/full` is a disk without room.
#[test]
fn a_full_disk_is_counted_and_what_comes_later_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (mut log, ..) = open(folder.path());
    log.write_to(File::options().write(true).open("/dev/full").unwrap());
    log.append(b"no room", 0);
    assert_eq!((log.health().failures(), log.health().bytes()), (1, 0));
    log.append(b"kept", 0);
    assert_eq!(open(folder.path()).1, [b"kept"]);
}

#[test]
fn zeros_are_no_records() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("000000000007.log"), [0; 16]).unwrap();
    let (log, found, replayed) = open(folder.path());
    assert_eq!((found.len(), replayed.damaged, log.file()), (0, 2, 8));
}

#[test]
fn a_folder_is_for_one_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("made");
    let held = DataDir::open(&path).unwrap();
    let refused = DataDir::open(&path).unwrap_err().to_string();
    assert!(refused.contains(&format!("in use by process {}", std::process::id())), "{refused}");
    held.release();
    DataDir::open(&path).unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let refused = DataDir::open(&file).unwrap_err().to_string();
    assert!(refused.contains("check --data-dir"), "{refused}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_damage_stops_a_start_or_invents_a_record(
        records in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 1..12),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in 0..50_usize,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let (mut log, ..) = open(folder.path());
        records.iter().for_each(|record| log.append(record, 0));
        drop(log);
        for file in files(folder.path()) {
            let mut bytes = fs::read(&file).unwrap();
            for (place, value) in &changes {
                *place.get_mut(&mut bytes) ^= value;
            }
            bytes.truncate(bytes.len().saturating_sub(cut));
            fs::write(&file, bytes).unwrap();
        }
        let (_, found, _) = open(folder.path());
        let mut rest = records.iter();
        for record in &found {
            prop_assert!(rest.any(|sent| sent == record), "in order, and none that was not written");
        }
    }
}
