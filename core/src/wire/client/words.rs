//! Four-letter words: plain questions in place of a first frame (client-protocol 13, operations 6).

/// The words that this server knows. Anything else is the length of a frame.
pub const WORDS: [&[u8; 4]; 18] = [
    b"conf", b"cons", b"crst", b"dirs", b"dump", b"envi", b"gtmk", b"hash", b"isro", b"mntr", b"ruok", b"srst",
    b"srvr", b"stat", b"stmk", b"wchc", b"wchp", b"wchs",
];

/// Telnet's "interrupt, break": closes the connection.
pub const TELNET_CLOSE: [u8; 4] = [0xff, 0xf4, 0xff, 0xfd];

/// Sets the trace mask: the only word with an argument, 8 bytes behind it.
pub const SET_TRACE_MASK: [u8; 4] = *b"stmk";

/// Whether these are a word.
#[must_use]
pub fn is_word(head: [u8; 4]) -> bool {
    WORDS.iter().any(|w| **w == head)
}

/// What is answered to a word that the whitelist does not name.
pub const REFUSAL: &str = " is not executed because it is not in the whitelist.\n";

/// What is answered to most words while this server does not serve.
pub const NOT_SERVING: &str = "This ZooKeeper instance is not currently serving requests";

/// Whether `word` is answered by a server that does not serve.
#[must_use]
pub fn answered_without_quorum(word: [u8; 4]) -> bool {
    [b"ruok", b"envi", b"gtmk", b"stmk", b"isro"].contains(&&word)
}
