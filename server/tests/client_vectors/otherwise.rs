//! Steps recorded at a server alone that have to go otherwise in an ensemble. A step that is listed and goes as recorded is a finding.

use crate::script::{Script, Step};

/// One step.
#[derive(Clone, Copy)]
pub(crate) struct Otherwise {
    pub(crate) script: &'static str,
    pub(crate) step: &'static str,
    /// Why it cannot go as recorded.
    pub(crate) why: &'static str,
    pub(crate) how: How,
}

/// What is otherwise.
#[derive(Clone, Copy)]
pub(crate) enum How {
    /// The request names this zxid, so many bytes behind its beginning; what is recorded must come of it.
    Asks(usize, i64),
    /// Another answer comes, in which this regular expression over bytes is found.
    Answers(&'static str),
}

/// The zxid that the recordings name where one is meant that no server has reached, and one that no ensemble has.
const AHEAD: i64 = 0x7fff_ffff_7fff_ffff;

const CONFIG: &str =
    "an ensemble writes its members into /zookeeper/config, with version -1; a server alone leaves it empty";
const EPOCHS: &str = "0x7fffffff is ahead of a server alone; an ensemble's zxids have an epoch in their upper half";
const MODE: &str = "it is a follower";

/// All of them.
pub(crate) const LIST: &[Otherwise] = &[
    Otherwise { script: "handshake", step: "lastZxidSeen ahead of the server", why: EPOCHS, how: How::Asks(8, AHEAD) },
    Otherwise {
        script: "setwatches",
        step: "setWatches2 with persistent kinds",
        why: EPOCHS,
        how: How::Asks(12, AHEAD),
    },
    Otherwise {
        script: "reads",
        step: "exists /zookeeper/config",
        why: CONFIG,
        // Header, czxid, mzxid and ctime 0, mtime, version -1, cversion 0, aversion -1, owner 0, so many bytes.
        how: How::Answers(r"^.{16}\x00{4}\x00{24}.{8}\xff{4}\x00{4}\xff{4}\x00{8}\x00\x00.[^\x00]"),
    },
    Otherwise {
        script: "reads",
        step: "getData /zookeeper/config",
        why: CONFIG,
        how: How::Answers(
            r"server\.1=[^\n]*\nserver\.2=[^\n]*\nserver\.3=[^\n]*\n(server\.4=[^\n]*:observer\n)?version=0\x00",
        ),
    },
    Otherwise {
        script: "reads",
        step: "getACL /zookeeper/config",
        why: CONFIG,
        how: How::Answers(r"world\x00\x00\x00\x06anyone\x00{24}.{8}\xff{4}\x00{4}\xff{4}\x00{8}\x00\x00"),
    },
    Otherwise {
        script: "reserved",
        step: "getData /zookeeper/config",
        why: CONFIG,
        how: How::Answers(
            r"server\.1=[^\n]*\nserver\.2=[^\n]*\nserver\.3=[^\n]*\n(server\.4=[^\n]*:observer\n)?version=0\x00",
        ),
    },
    Otherwise {
        script: "acl_auth",
        step: "super writes config",
        why: "its version was -1, so it is 0 now and not 1",
        how: How::Answers(r"^.{16}\x00{4}.{32}\x00{4}\x00{4}\xff{4}\x00{8}\x00\x00\x00\x03"),
    },
    Otherwise {
        script: "fourletter",
        step: "srvr",
        why: MODE,
        how: How::Answers(r"\nZxid: 0x0\nMode: follower\nNode count: 5\n$"),
    },
    Otherwise {
        script: "fourletter",
        step: "stat",
        why: MODE,
        how: How::Answers(r"\nClients:\n(.*\n)*Mode: follower\n"),
    },
    Otherwise {
        script: "fourletter",
        step: "mntr",
        why: MODE,
        how: How::Answers(r"\nzk_server_state\tfollower\n(.*\n)*zk_znode_count\t5\n"),
    },
    Otherwise {
        script: "fourletter",
        step: "conf",
        why: "its id is that of its member line, and the members follow",
        how: How::Answers(r"\nserverId=[123]\n(.*\n)*peerType=0\nmembership: \nserver\.1="),
    },
    Otherwise { script: "fourletter_disabled", step: "srvr", why: MODE, how: How::Answers(r"\nMode: follower\n") },
];

/// How this step goes, by this list.
pub(crate) fn find<'a>(list: &'a [Otherwise], script: &Script, step: &Step) -> Option<&'a Otherwise> {
    list.iter().find(|o| o.script == script.name && o.step == step.name)
}
