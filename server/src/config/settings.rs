//! What the rows of the table write into: values as they were given, before they are checked against each other.

use quorate_core::config::{MemberKind, PeerConfig};

use crate::recording::DEFAULT_MIB;

/// Values of a configuration, `None` where the key was absent and its default depends on others.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Rows whose value stands for itself write here.
    pub peer: PeerConfig,
    /// dataDir.
    pub data_dir: Option<String>,
    /// dataLogDir.
    pub data_log_dir: Option<String>,
    /// clientPort, 0 when unset.
    pub client_port: u16,
    /// clientPortAddress.
    pub client_address: Option<String>,
    /// initLimit, in ticks.
    pub init_limit: Option<i64>,
    /// syncLimit, in ticks.
    pub sync_limit: Option<i64>,
    /// minSessionTimeout, ms.
    pub min_session: Option<i64>,
    /// maxSessionTimeout, ms.
    pub max_session: Option<i64>,
    /// jute.maxbuffer.extrasize, bytes.
    pub frame_extra: Option<i64>,
    /// connection_throttle_weight_enabled.
    pub weigh_connects: bool,
    /// connection_throttle_global_session_weight, ..._local_..., ..._renew_...
    pub connect_weights: (u32, u32, u32),
    /// autopurge.snapRetainCount.
    pub retain_count: i64,
    /// standaloneEnabled.
    pub standalone_enabled: bool,
    /// peerType.
    pub peer_type: Option<MemberKind>,
    /// quorumListenOnAllIPs.
    pub listen_on_all_ips: bool,
    /// multiAddress.enabled.
    pub multi_address: bool,
    /// electionPortBindRetry, 0 for ever.
    pub election_bind_retries: u32,
    /// dynamicConfigFile.
    pub dynamic_file: Option<String>,
    /// clientPortListenBacklog.
    pub backlog: Option<u32>,
    /// datadir.autocreate.
    pub datadir_autocreate: bool,
    /// enforce.auth.enabled.
    pub enforce_auth: bool,
    /// enforce.auth.schemes.
    pub enforced_schemes: Vec<String>,
    /// authProvider.*: the class of x509.
    pub x509_provider: bool,
    /// secureClientPort is set.
    pub secure_client_port: bool,
    /// request_throttle_drop_stale.
    pub drop_stale: bool,
    /// request_stale_latency_check.
    pub latency_check: bool,
    /// tcpKeepAlive.
    pub quorum_keep_alive: bool,
    /// clientTcpKeepAlive.
    pub client_keep_alive: bool,
    /// fsync.warningthresholdms.
    pub fsync_warning_ms: i64,
    /// 4lw.legacyDate.
    pub legacy_date: bool,
    /// quorate.record.
    pub record: Option<String>,
    /// quorate.recordSize, MiB.
    pub record_mib: i64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            peer: PeerConfig::default(),
            data_dir: None,
            data_log_dir: None,
            client_port: 0,
            client_address: None,
            init_limit: None,
            sync_limit: None,
            min_session: None,
            max_session: None,
            frame_extra: None,
            weigh_connects: false,
            connect_weights: (3, 1, 2),
            retain_count: 3,
            standalone_enabled: true,
            peer_type: None,
            listen_on_all_ips: false,
            multi_address: false,
            election_bind_retries: 3,
            dynamic_file: None,
            backlog: None,
            datadir_autocreate: true,
            enforce_auth: false,
            enforced_schemes: Vec::new(),
            x509_provider: false,
            drop_stale: true,
            latency_check: false,
            secure_client_port: false,
            quorum_keep_alive: false,
            client_keep_alive: false,
            fsync_warning_ms: 1000,
            legacy_date: false,
            record: None,
            record_mib: DEFAULT_MIB,
        }
    }
}
