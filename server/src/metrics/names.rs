//! The names of ZooKeeper 3.9.5's metrics (operations section 12). Those that nothing here measures stay zero, so that
//! dashboards and collectors find them.

/// An enum whose variants are metrics, with their names.
macro_rules! names {
    ($(#[$doc:meta])* $enum:ident { $($variant:ident = $name:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[allow(missing_docs)]
        pub enum $enum { $($variant,)* }

        impl $enum {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];
            /// Without the prefix `zk_`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

names! {
    /// Counters, by ZooKeeper's names.
    Counter {
        AddDeadWatcherStallTime = "add_dead_watcher_stall_time",
        BytesReceivedCount = "bytes_received_count",
        CnxnClosedWithoutZkServerRunning = "cnxn_closed_without_zk_server_running",
        CommitCount = "commit_count",
        ConnectionDropCount = "connection_drop_count",
        ConnectionRejected = "connection_rejected",
        ConnectionRequestCount = "connection_request_count",
        ConnectionRevalidateCount = "connection_revalidate_count",
        DeadWatchersCleared = "dead_watchers_cleared",
        DeadWatchersQueued = "dead_watchers_queued",
        DiffCount = "diff_count",
        DigestMismatchesCount = "digest_mismatches_count",
        EnsembleAuthFail = "ensemble_auth_fail",
        EnsembleAuthSkip = "ensemble_auth_skip",
        EnsembleAuthSuccess = "ensemble_auth_success",
        InsecureAdminCount = "insecure_admin_count",
        LargeRequestsRejected = "large_requests_rejected",
        LearnerCommitReceivedCount = "learner_commit_received_count",
        LearnerProposalReceivedCount = "learner_proposal_received_count",
        LookingCount = "looking_count",
        OutstandingChangesQueued = "outstanding_changes_queued",
        OutstandingChangesRemoved = "outstanding_changes_removed",
        PrepProcessorRequestQueued = "prep_processor_request_queued",
        ProposalCount = "proposal_count",
        QuitLeadingDueToDisloyalVoter = "quit_leading_due_to_disloyal_voter",
        RequestCommitQueued = "request_commit_queued",
        RequestThrottleWaitCount = "request_throttle_wait_count",
        RequestsNotForwardedToCommitProcessor = "requests_not_forwarded_to_commit_processor",
        ResponseBytes = "response_bytes",
        ResponsePacketCacheHits = "response_packet_cache_hits",
        ResponsePacketCacheMisses = "response_packet_cache_misses",
        ResponsePacketGetChildrenCacheHits = "response_packet_get_children_cache_hits",
        ResponsePacketGetChildrenCacheMisses = "response_packet_get_children_cache_misses",
        RestoreErrorCount = "restore_error_count",
        RestoreRateLimitedCount = "restore_rate_limited_count",
        RevalidateCount = "revalidate_count",
        SessionlessConnectionsExpired = "sessionless_connections_expired",
        SkipLearnerRequestToNextProcessorCount = "skip_learner_request_to_next_processor_count",
        SnapCount = "snap_count",
        SnapshotErrorCount = "snapshot_error_count",
        SnapshotRateLimitedCount = "snapshot_rate_limited_count",
        StaleReplies = "stale_replies",
        StaleRequests = "stale_requests",
        StaleRequestsDropped = "stale_requests_dropped",
        StaleSessionsExpired = "stale_sessions_expired",
        SyncProcessorRequestQueued = "sync_processor_request_queued",
        ThrottledOps = "throttled_ops",
        TlsHandshakeExceeded = "tls_handshake_exceeded",
        UnrecoverableErrorCount = "unrecoverable_error_count",
        UnsuccessfulHandshake = "unsuccessful_handshake",
        WatchBytes = "watch_bytes",
    }
}

names! {
    /// Summaries without percentiles.
    Basic {
        CommitCommitProcReqQueued = "commit_commit_proc_req_queued",
        CommitProcessTime = "commit_process_time",
        ConcurrentRequestProcessingInCommitProcessor = "concurrent_request_processing_in_commit_processor",
        ConnectionTokenDeficit = "connection_token_deficit",
        Dbinittime = "dbinittime",
        ElectionTime = "election_time",
        FollowerSyncTime = "follower_sync_time",
        Fsynctime = "fsynctime",
        InflightDiffCount = "inflight_diff_count",
        InflightSnapCount = "inflight_snap_count",
        LeaderUnavailableTime = "leader_unavailable_time",
        LearnerRequestProcessorQueueSize = "learner_request_processor_queue_size",
        NettyQueuedBufferCapacity = "netty_queued_buffer_capacity",
        NodeChangedWatchCount = "node_changed_watch_count",
        NodeChildrenWatchCount = "node_children_watch_count",
        NodeCreatedWatchCount = "node_created_watch_count",
        NodeDeletedWatchCount = "node_deleted_watch_count",
        ObserverSyncTime = "observer_sync_time",
        PendingSessionQueueSize = "pending_session_queue_size",
        PrepProcessTime = "prep_process_time",
        PrepProcessorQueueSize = "prep_processor_queue_size",
        ProposalProcessTime = "proposal_process_time",
        ReadCommitProcIssued = "read_commit_proc_issued",
        ReadCommitProcReqQueued = "read_commit_proc_req_queued",
        ReadsAfterWriteInSessionQueue = "reads_after_write_in_session_queue",
        ReadsIssuedFromSessionQueue = "reads_issued_from_session_queue",
        RequestsInSessionQueue = "requests_in_session_queue",
        RestoreTime = "restore_time",
        SessionQueuesDrained = "session_queues_drained",
        Snapshottime = "snapshottime",
        SocketClosingTime = "socket_closing_time",
        StartupSnapLoadTime = "startup_snap_load_time",
        StartupTxnsLoadTime = "startup_txns_load_time",
        StartupTxnsLoaded = "startup_txns_loaded",
        SyncProcessTime = "sync_process_time",
        SyncProcessorBatchSize = "sync_processor_batch_size",
        SyncProcessorQueueSize = "sync_processor_queue_size",
        TimeWaitingEmptyPoolInCommitProcessorReadMs = "time_waiting_empty_pool_in_commit_processor_read_ms",
        UnavailableTime = "unavailable_time",
        WriteBatchTimeInCommitProcessor = "write_batch_time_in_commit_processor",
        WriteCommitProcIssued = "write_commit_proc_issued",
        WriteCommitProcReqQueued = "write_commit_proc_req_queued",
    }
}

names! {
    /// Summaries with percentiles.
    Advanced {
        CloseSessionPrepTime = "close_session_prep_time",
        CommitPropagationLatency = "commit_propagation_latency",
        DeadWatchersCleanerLatency = "dead_watchers_cleaner_latency",
        JvmPauseTimeMs = "jvm_pause_time_ms",
        LocalWriteCommittedTimeMs = "local_write_committed_time_ms",
        OmCommitProcessTimeMs = "om_commit_process_time_ms",
        OmProposalProcessTimeMs = "om_proposal_process_time_ms",
        PrepProcessorQueueTimeMs = "prep_processor_queue_time_ms",
        PropagationLatency = "propagation_latency",
        ProposalAckCreationLatency = "proposal_ack_creation_latency",
        ProposalLatency = "proposal_latency",
        QuorumAckLatency = "quorum_ack_latency",
        ReadCommitprocTimeMs = "read_commitproc_time_ms",
        ReadFinalProcTimeMs = "read_final_proc_time_ms",
        Readlatency = "readlatency",
        RequestThrottleQueueTimeMs = "request_throttle_queue_time_ms",
        ServerWriteCommittedTimeMs = "server_write_committed_time_ms",
        SyncProcessorQueueAndFlushTimeMs = "sync_processor_queue_and_flush_time_ms",
        SyncProcessorQueueFlushTimeMs = "sync_processor_queue_flush_time_ms",
        SyncProcessorQueueTimeMs = "sync_processor_queue_time_ms",
        Updatelatency = "updatelatency",
        WriteCommitprocTimeMs = "write_commitproc_time_ms",
        WriteFinalProcTimeMs = "write_final_proc_time_ms",
    }
}
