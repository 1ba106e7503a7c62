use super::*;

const LIMIT: Duration = Duration::from_secs(60);

fn push(queue: &Queue, line: &str) {
    queue.push(format!("{line}\n").into_bytes(), 1);
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

#[test]
fn lines_are_appended_to_a_file_whose_folder_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("logs/access.log");
    for line in ["one", "two"] {
        let log = AccessLog::open(Destination::of_path(&path)).unwrap();
        push(&log.queue(), line);
        log.close(LIMIT);
    }
    assert_eq!(read(&path), "one\ntwo\n");
}

#[test]
fn a_file_that_was_moved_away_is_opened_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let moved = folder.path().join("access.log.1");
    let log = AccessLog::open(Destination::of_path(&path)).unwrap();
    let queue = log.queue();
    push(&queue, "before");
    while fs::metadata(&path).unwrap().len() == 0 {
        std::thread::yield_now();
    }
    fs::rename(&path, &moved).unwrap();
    log.reopen();
    push(&queue, "after");
    log.close(LIMIT);
    assert_eq!((&*read(&moved), &*read(&path)), ("before\n", "after\n"));
}

#[test]
fn a_file_that_cannot_be_opened_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let error = AccessLog::open(Destination::of_path(folder.path())).unwrap_err();
    let start = format!(
        "the access log {} cannot be opened: ",
        folder.path().display()
    );
    assert!(error.to_string().starts_with(&start), "{error}");
}

#[test]
fn nobody_waits_for_a_slow_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pipe");
    // A pipe that nobody reads takes 64 KiB and no more.
    let (reader, writer) = io::pipe().unwrap();
    let log = AccessLog::open(Destination::File(path)).unwrap();
    let queue = log.queue();
    let mut slow = Writer {
        destination: Destination::Stdout,
        file: File::from(std::os::fd::OwnedFd::from(writer)),
        shared: Arc::clone(&queue.shared),
        warned: None,
    };
    log.close(LIMIT);
    let (sender, receiver) = sync_channel(ACCESS_LOG_QUEUE);
    let queue = Queue {
        sender,
        shared: Arc::clone(&slow.shared),
    };
    let text = vec![b'x'; 64 << 10];
    let pushed = 2 * ACCESS_LOG_QUEUE as u64;
    for _ in 0..pushed {
        queue.push(text.clone(), 10);
    }
    let dropped = slow.shared.dropped.load(Ordering::Relaxed);
    assert_eq!(dropped, (pushed - ACCESS_LOG_QUEUE as u64) * 10);
    // What is written to a pipe without a reader fails, and counts as dropped.
    drop(reader);
    slow.warned = Some(Instant::now());
    let Ok(Message::Lines(lines)) = receiver.recv() else {
        panic!("lines were pushed");
    };
    slow.write(&lines);
    assert_eq!(slow.shared.dropped.load(Ordering::Relaxed), dropped + 10);
    slow.warned = None;
    slow.write(&lines);
    assert_eq!(
        slow.shared.dropped.load(Ordering::Relaxed),
        0,
        "it was said"
    );
}

#[test]
fn a_log_that_leaves_writes_what_comes_until_the_last_way_to_it_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let log = AccessLog::open(Destination::of_path(&path)).unwrap();
    let queue = log.queue();
    let leaving = log.leave();
    assert!(!leaving.has_left());
    queue.push(b"late\n".to_vec(), 1);
    drop(queue);
    leaving.wait(Duration::from_secs(60));
    assert_eq!(fs::read_to_string(&path).unwrap(), "late\n");
}
