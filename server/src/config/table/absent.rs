//! Keys that are accepted and have no effect: features that are not there yet, and tuning of structures that this server
//! does not have.

use crate::config::key::Property::{File, Named, Zookeeper};
use crate::config::key::{Key, Property, Rule, TRUE_OR_FALSE};

const NO_ADMIN: &str = "there is no admin server yet";
const NO_METRICS: &str = "there is no metrics exporter yet; mntr has the figures";
const NO_AUDIT: &str = "there is no audit log yet";
const NO_RECONFIG: &str = "there is no reconfiguration yet: reconfig is answered with ReconfigDisabled";
const NOT_OURS: &str = "it tunes a structure that this server does not have";
const NO_JVM: &str = "there is no JVM";

const fn absent(same: &'static [&'static str], why: &'static str) -> Rule {
    Rule::NoEffect { same, why }
}

const fn tuning(name: &'static str, effect: &'static str) -> Key {
    Key::new(name, Zookeeper, "", "", absent(&[], NOT_OURS), effect)
}

const fn refused(name: &'static str, property: Property, why: &'static str, effect: &'static str) -> Key {
    Key::new(name, property, "", "none", Rule::Only { values: &[], why }, effect)
}

#[rustfmt::skip]
pub(super) static KEYS: &[Key] = &[
    Key::new("admin.enableServer", Zookeeper, "", "false", absent(&["false"], NO_ADMIN), "The admin HTTP server.")
        .java("Off; in Java on by default."),
    Key::new("admin.*", Zookeeper, "", "", absent(&[], NO_ADMIN), "Address, port and features of the admin server."),
    Key::new("metricsProvider.*", File, "", "", absent(&["org.apache.zookeeper.metrics.impl.DefaultMetricsProvider"], NO_METRICS), "Export of metrics.")
        .java("An unknown class warns; Java exits with 2."),
    Key::new("audit.enable", Zookeeper, "", "false", absent(&["false"], NO_AUDIT), "The audit log."),
    Key::new("audit.*", Zookeeper, "", "", absent(&[], NO_AUDIT), "The audit log's class."),
    Key::new("reconfigEnabled", File, "", "false", Rule::Choice { works: &["false"], no_effect: &["true"], why: NO_RECONFIG, expected: TRUE_OR_FALSE },
        "Reconfiguration of the ensemble while it runs."),
    Key::new("observerMasterPort", File, "port", "0", absent(&["0", "-1"], "observers connect to the leader only"), "Followers serve observers on this port."),
    Key::new("observerMaster.*", Zookeeper, "", "", absent(&[], "observers connect to the leader only"), "Queues of a follower that serves observers."),
    Key::new("observer.reconnectDelayMs", Zookeeper, "ms", "0", absent(&["0"], "observers reconnect at once"), "Pause before an observer reconnects."),
    Key::new("observer.election.DelayMs", Zookeeper, "ms", "200", absent(&["200"], "observers look for a leader without a pause"), "Pause before an observer looks for a leader."),
    Key::new("quorumCnxnTimeoutMs", Zookeeper, "ms", "-1", absent(&["-1"], "election connections time out as syncLimit says"), "Read timeout of election connections."),
    Key::new("leader.maxTimeToWaitForEpoch", Zookeeper, "ms", "-1", absent(&["-1"], "initLimit bounds this wait"), "How long an elected leader waits for its followers."),
    Key::new("multiAddress.reachabilityCheckEnabled", Zookeeper, "", "true", absent(&["true"], "a server has one address"), "Probe the addresses of a server."),
    Key::new("multiAddress.reachabilityCheckTimeoutMs", Zookeeper, "ms", "1000", absent(&["1000"], "a server has one address"), "Time for such a probe."),
    refused("oraclePath", File, "there is no oracle for ensembles of two servers; without it they would behave otherwise than meant", "Oracle for ensembles of two servers."),
    refused("testingonly.initialZxid", Zookeeper, "it is for Java's own tests", "Sets the first zxid."),
    refused("test.allowDiscontinuousProposals", Zookeeper, "it is for Java's own tests", "Allows gaps in proposals."),
    Key::new("serverCnxnFactory", Zookeeper, "class", "", absent(&["org.apache.zookeeper.server.NIOServerCnxnFactory", "org.apache.zookeeper.server.NettyServerCnxnFactory"], NO_JVM), "Java's network layer; both of Java's own are accepted."),
    Key::new("clientCnxnSocket", Zookeeper, "class", "", absent(&[], NO_JVM), "Java's client network layer."),
    tuning("nio.*", "Threads and buffers of Java's NIO layer."),
    tuning("netty.*", "Flow control of Java's Netty layer."),
    tuning("commitProcessor.*", "Threads and batches of Java's commit processor."),
    tuning("watchManagerName", "Java's watch table."),
    tuning("watcherClean*", "Cleaning of Java's watch table."),
    tuning("maxInProcessingDeadWatchers", "Cleaning of Java's watch table."),
    tuning("bitHashCacheSize", "Java's watch table."),
    tuning("intBufferStartingSizeBytes", "Java's buffers."),
    tuning("learner.asyncSending", "A sending thread of Java's learners."),
    tuning("learner.closeSocketAsync", "A closing thread of Java's learners."),
    tuning("leader.closeSocketAsync", "A closing thread of Java's leader."),
    tuning("follower.skipLearnerRequestToNextProcessor", "Java's chain of processors."),
    tuning("skipLearnerRequestToNextProcessor*", "Java's chain of processors."),
    tuning("forward_learner_requests_to_commit_processor_disabled", "Java's chain of processors."),
    tuning("messageTracker.*", "A ring of recent messages."),
    tuning("pathStats.*", "Statistics by path."),
    tuning("leader.ackLoggingFrequency", "How often ACKs are logged."),
    tuning("closeSessionTxn.*", "Form of closeSession transactions."),
    Key::new("quorum.cnxn.threads.size", File, "threads", "20", absent(&["20"], NOT_OURS), "Threads of election connections."),
    Key::new("leader.nodelay", Named("leader.nodelay"), "", "true", absent(&["true"], "TCP_NODELAY is always on"), "TCP_NODELAY of the leader."),
    Key::new("follower.nodelay", Named("follower.nodelay"), "", "true", absent(&["true"], "TCP_NODELAY is always on"), "TCP_NODELAY of followers."),
    Key::new("jvm.pause.*", File, "", "", absent(&["false"], NO_JVM), "Detection of JVM pauses."),
    Key::new("jmx.*", Zookeeper, "", "", absent(&[], NO_JVM), "JMX."),
    Key::new("log.*", Zookeeper, "", "", absent(&[], "logs go to standard output"), "Java's log files."),
    Key::new("root.logger", Zookeeper, "", "", absent(&[], "logs go to standard output"), "Java's logger."),
];
