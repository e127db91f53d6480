//! The simulated disk forgets what a real one may forget, and nothing else.

use super::*;

const FILE: &str = "/journal/a";

fn with_file() -> (Simulated, Disk, File) {
    let simulated = Simulated::new(7);
    let disk = simulated.disk();
    disk.create_directory(Path::new("/journal")).expect("made");
    disk.sync_directory(Path::new("/")).expect("synced");
    let file = disk.open(Path::new(FILE), Open::CreateNew).expect("made");
    (simulated, disk, file)
}

#[test]
fn a_name_is_there_after_a_cut_only_once_its_directory_was_synced() {
    let (simulated, disk, file) = with_file();
    file.write_all_at(b"abc", 0).expect("written");
    file.sync_all().expect("synced");
    assert!(simulated.copy().disk().exists(Path::new(FILE)));
    disk.sync_directory(Path::new("/journal")).expect("synced");
    disk.rename(Path::new(FILE), Path::new("/journal/b")).expect("renamed");
    let after = simulated.cut(Keep::Nothing).disk();
    assert_eq!(after.read(Path::new(FILE)).expect("it is there"), b"abc");
    assert!(!after.exists(Path::new("/journal/b")));
    assert!(file.sync_all().is_err(), "the power is off");
}

#[test]
fn what_was_not_synced_is_dropped_or_torn_by_sectors() {
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..50 {
        let (simulated, disk, file) = with_file();
        file.write_all_at(&[1; 1024], 0).expect("written");
        file.sync_data().expect("synced");
        disk.sync_directory(Path::new("/journal")).expect("synced");
        file.write_all_at(&[2; 1024], 0).expect("written");
        assert_eq!(simulated.copy().disk().read(Path::new(FILE)).expect("read"), [2; 1024]);
        simulated.0.lock().random = StdRng::from_os_rng();
        let left = simulated.cut(Keep::Some).disk().read(Path::new(FILE)).expect("read");
        assert!(left[..512].iter().all(|byte| *byte == left[0]) && left[512..].iter().all(|byte| *byte == left[512]));
        seen.insert((left[0], left[512]));
    }
    assert_eq!(seen.len(), 4, "each sector goes its own way: {seen:?}");
}

#[test]
fn what_a_failed_sync_has_dropped_no_later_sync_brings_back() {
    let (simulated, disk, file) = with_file();
    file.write_all_at(&[1; 512], 0).expect("written");
    file.sync_data().expect("synced");
    disk.sync_directory(Path::new("/journal")).expect("synced");
    file.write_all_at(&[2; 512], 0).expect("written");
    simulated.fail(Fault::SyncError, 0);
    assert!(file.sync_data().is_err());
    file.sync_data().expect("it says so");
    assert_eq!(simulated.cut(Keep::Nothing).disk().read(Path::new(FILE)).expect("read"), [1; 512]);
}

#[test]
fn a_cut_file_may_be_whole_again() {
    let (simulated, disk, file) = with_file();
    file.write_all_at(&[1; 700], 0).expect("written");
    file.sync_data().expect("synced");
    disk.sync_directory(Path::new("/journal")).expect("synced");
    file.set_length(10).expect("cut");
    file.write_all_at(&[3; 20], 10).expect("written");
    assert_eq!(simulated.cut(Keep::Nothing).disk().read(Path::new(FILE)).expect("read"), [1; 700]);
}

#[test]
fn a_full_disk_takes_what_fits_and_more_once_there_is_room() {
    let (simulated, disk, file) = with_file();
    simulated.limit(1_000);
    file.write_all_at(&[1; 900], 0).expect("it fits");
    assert_eq!(file.write_all_at(&[1; 200], 900).map_err(|error| error.kind()), Err(io::ErrorKind::StorageFull));
    file.write_all_at(&[2; 900], 0).expect("what is there can be written over");
    simulated.limit(2_000);
    file.write_all_at(&[1; 200], 900).expect("there is room");
    assert_eq!(disk.space(Path::new("/")).expect("known").available_bytes, 900);
}

#[test]
fn the_power_goes_in_the_middle_of_things() {
    let (simulated, disk, file) = with_file();
    disk.sync_directory(Path::new("/journal")).expect("synced");
    simulated.cut_after(2, Keep::Nothing);
    file.write_all_at(b"abc", 0).expect("written");
    file.sync_data().expect("synced");
    assert!(file.write_all_at(b"def", 3).is_err());
    assert_eq!(simulated.cut(Keep::All).disk().read(Path::new(FILE)).expect("read"), b"abc");
}
