/** Where the image has the agent: the entrypoint by which this program knows its own container. */
export const agentFile = "/usr/local/lib/centraldb/agent/agent.cjs";
/** rclone's configuration, with the secrets of a remote: in the container itself, and not with the backups, which a drill reads. */
export const rcloneConfigFile = "/var/lib/centraldb/rclone.conf";
/** restore_command's program, beside it. */
export const fetchWalFile = "/usr/local/lib/centraldb/fetch-wal.sh";
