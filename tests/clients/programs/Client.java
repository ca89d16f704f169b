import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.SynchronousQueue;
import org.apache.zookeeper.AddWatchMode;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.Op;
import org.apache.zookeeper.OpResult;
import org.apache.zookeeper.WatchedEvent;
import org.apache.zookeeper.Watcher;
import org.apache.zookeeper.ZooDefs;
import org.apache.zookeeper.ZooKeeper;
import org.apache.zookeeper.data.ACL;
import org.apache.zookeeper.data.ClientInfo;
import org.apache.zookeeper.data.Id;
import org.apache.zookeeper.data.Stat;

/**
 * The Java client under the tests: the commands and the output of client.c, and those that only this client knows.
 *
 * <pre>Client HOSTS TIMEOUT_MS [readonly]</pre>
 *
 * Operations are asynchronous where the client has that form, so that answers and events are printed by one thread, in the order in which
 * they came.
 */
public final class Client {
    private static final SynchronousQueue<Boolean> ANSWERED = new SynchronousQueue<>();
    private static final Watcher WATCHER = Client::onWatch;
    private static ZooKeeper zk;

    private Client() {}

    public static void main(String[] arguments) throws Exception {
        zk = new ZooKeeper(arguments[0], Integer.parseInt(arguments[1]), Client::onState, arguments.length > 2);
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = input.readLine(); line != null; line = input.readLine()) {
            String[] words = line.trim().split(" +");
            if (words[0].equals("close")) {
                break;
            }
            try {
                if (run(words)) {
                    ANSWERED.take();
                }
            } catch (KeeperException error) {
                say("= " + error.code().intValue());
            } catch (IllegalArgumentException error) {
                say("= refused by the client");
            }
        }
        zk.close();
        say("= 0");
    }

    private static synchronized void say(String line) {
        System.out.println(line);
        System.out.flush();
    }

    private static void onState(WatchedEvent event) {
        if (event.getType() != Watcher.Event.EventType.None) {
            return;
        }
        switch (event.getState()) {
            case SyncConnected -> say("* connected");
            case ConnectedReadOnly -> say("* readonly");
            case Expired -> say("* expired");
            case AuthFailed -> say("* authfailed");
            case Closed -> say("* closed");
            default -> say("* disconnected");
        }
    }

    private static void onWatch(WatchedEvent event) {
        String kind =
                switch (event.getType()) {
                    case None -> null;
                    case NodeCreated -> "created";
                    case NodeDeleted -> "deleted";
                    case NodeDataChanged -> "changed";
                    case NodeChildrenChanged -> "children";
                    default -> "removed";
                };
        if (kind != null) {
            say("! " + kind + " " + event.getPath());
        }
    }

    private static void answer(String words) {
        say("= " + words);
        try {
            ANSWERED.put(true);
        } catch (InterruptedException error) {
            Thread.currentThread().interrupt();
        }
    }

    private static void answer(int code, String words) {
        answer(code == 0 ? "0 " + words : Integer.toString(code));
    }

    private static String text(Stat stat) {
        if (stat == null) {
            return "";
        }
        String owner = stat.getEphemeralOwner() == 0 ? "-" : stat.getEphemeralOwner() == zk.getSessionId() ? "mine" : "other";
        return String.format(
                "%d %d %d %s %d %d",
                stat.getVersion(),
                stat.getCversion(),
                stat.getAversion(),
                owner,
                stat.getDataLength(),
                stat.getNumChildren());
    }

    private static String text(byte[] data) {
        if (data == null) {
            return "null";
        }
        return data.length > 64 ? "(" + data.length + ")" : new String(data, StandardCharsets.UTF_8);
    }

    private static String text(List<String> names) {
        List<String> sorted = new ArrayList<>(names == null ? List.of() : names);
        Collections.sort(sorted);
        return "[" + String.join(",", sorted) + "]";
    }

    /** "-" is null; "*N" is N bytes. */
    private static byte[] bytes(String word) {
        if (word.equals("-")) {
            return null;
        }
        if (!word.startsWith("*")) {
            return word.getBytes(StandardCharsets.UTF_8);
        }
        byte[] large = new byte[Integer.parseInt(word.substring(1))];
        Arrays.fill(large, (byte) 'x');
        return large;
    }

    /** p, e, s, es, c, t=TTL or ts=TTL. */
    private static CreateMode mode(String word) {
        return switch (word.split("=")[0]) {
            case "e" -> CreateMode.EPHEMERAL;
            case "s" -> CreateMode.PERSISTENT_SEQUENTIAL;
            case "es" -> CreateMode.EPHEMERAL_SEQUENTIAL;
            case "c" -> CreateMode.CONTAINER;
            case "t" -> CreateMode.PERSISTENT_WITH_TTL;
            case "ts" -> CreateMode.PERSISTENT_SEQUENTIAL_WITH_TTL;
            default -> CreateMode.PERSISTENT;
        };
    }

    private static long ttl(String word) {
        return word.contains("=") ? Long.parseLong(word.split("=")[1]) : -1;
    }

    private static Watcher.WatcherType watcherType(String word) {
        return switch (word) {
            case "children" -> Watcher.WatcherType.Children;
            case "data" -> Watcher.WatcherType.Data;
            default -> Watcher.WatcherType.Any;
        };
    }

    private static void multi(String[] words) {
        List<Op> ops = new ArrayList<>();
        for (String group : String.join(" ", Arrays.copyOfRange(words, 1, words.length)).split(" ; ")) {
            String[] w = group.trim().split(" ");
            switch (w[0]) {
                case "create" -> ops.add(
                        Op.create(w[1], bytes(w[2]), ZooDefs.Ids.OPEN_ACL_UNSAFE, mode(w[3]).toFlag()));
                case "set" -> ops.add(Op.setData(w[1], bytes(w[2]), Integer.parseInt(w[3])));
                case "delete" -> ops.add(Op.delete(w[1], Integer.parseInt(w[2])));
                default -> ops.add(Op.check(w[1], Integer.parseInt(w[2])));
            }
        }
        zk.multi(ops, (code, path, context, results) -> answer(code + results(results)), null);
    }

    private static String results(List<OpResult> results) {
        StringBuilder said = new StringBuilder();
        for (OpResult result : results == null ? List.<OpResult>of() : results) {
            if (result instanceof OpResult.ErrorResult error) {
                said.append(" ").append(error.getErr());
            } else if (result instanceof OpResult.CreateResult create) {
                said.append(" 0:").append(create.getPath());
            } else if (result instanceof OpResult.SetDataResult set) {
                said.append(" 0:").append(set.getStat().getVersion());
            } else {
                said.append(" 0");
            }
        }
        return said.toString();
    }

    /** Starts a command; whether its answer comes from another thread. */
    private static boolean run(String[] w) throws KeeperException, InterruptedException {
        Watcher watcher = w[w.length - 1].equals("w") ? WATCHER : null;
        switch (w[0]) {
            case "exists" -> zk.exists(w[1], watcher, (code, p, c, stat) -> answer(code, text(stat)), null);
            case "get" -> zk.getData(
                    w[1], watcher, (code, p, c, data, stat) -> answer(code, text(data) + " " + text(stat)), null);
            case "children" -> zk.getChildren(
                    w[1], watcher, (code, p, c, names, stat) -> answer(code, text(names) + " " + text(stat)), null);
            case "create" -> zk.create(
                    w[1],
                    bytes(w[2]),
                    ZooDefs.Ids.OPEN_ACL_UNSAFE,
                    mode(w[3]),
                    (code, p, c, name, stat) -> answer(code, name + " " + text(stat)),
                    null,
                    ttl(w[3]));
            case "set" -> zk.setData(
                    w[1], bytes(w[2]), Integer.parseInt(w[3]), (code, p, c, stat) -> answer(code, text(stat)), null);
            case "delete" -> zk.delete(
                    w[1], Integer.parseInt(w[2]), (code, p, c) -> answer(Integer.toString(code)), null);
            case "sync" -> zk.sync(w[1], (code, path, c) -> answer(code + " " + path), null);
            case "getacl" -> zk.getACL(w[1], null, (code, p, c, acl, stat) -> answer(code + acls(acl)), null);
            case "setacl" -> zk.setACL(w[1], acls(w), -1, (code, p, c, stat) -> answer(Integer.toString(code)), null);
            case "multi" -> multi(w);
            case "addwatch" -> zk.addWatch(
                    w[1],
                    WATCHER,
                    w[2].equals("recursive") ? AddWatchMode.PERSISTENT_RECURSIVE : AddWatchMode.PERSISTENT,
                    (code, p, c) -> answer(Integer.toString(code)),
                    null);
            case "unwatch" -> zk.removeAllWatches(
                    w[1], watcherType(w[2]), false, (code, p, c) -> answer(Integer.toString(code)), null);
            case "checkwatch" -> zk.removeWatches(
                    w[1], WATCHER, watcherType(w[2]), false, (code, p, c) -> answer(Integer.toString(code)), null);
            case "ephemerals" -> zk.getEphemerals(w[1], (code, c, names) -> answer(code, text(names)), null);
            case "descendants" -> zk.getAllChildrenNumber(
                    w[1], (code, p, c, number) -> answer(code, Integer.toString(number)), null);
            default -> {
                say("= " + now(w));
                return false;
            }
        }
        return true;
    }

    /** What has no asynchronous form. */
    private static String now(String[] w) throws KeeperException, InterruptedException {
        switch (w[0]) {
            case "auth":
                zk.addAuthInfo(w[1], w[2].getBytes(StandardCharsets.UTF_8));
                return "0";
            case "whoami":
                List<String> ids = new ArrayList<>();
                for (ClientInfo info : zk.whoAmI()) {
                    ids.add(info.getAuthScheme() + ":" + info.getUser());
                }
                return "0 " + text(ids);
            case "session":
                return String.format("0 %x %d", zk.getSessionId(), zk.getSessionTimeout());
            default:
                return "unknown command";
        }
    }

    private static String acls(List<ACL> acl) {
        StringBuilder said = new StringBuilder();
        for (ACL entry : acl == null ? List.<ACL>of() : acl) {
            said.append(String.format(" %d:%s:%s", entry.getPerms(), entry.getId().getScheme(), entry.getId().getId()));
        }
        return said.toString();
    }

    /** PERMS:SCHEME:ID, the id as it is. */
    private static List<ACL> acls(String[] words) {
        List<ACL> acl = new ArrayList<>();
        for (String word : Arrays.copyOfRange(words, 2, words.length)) {
            String[] parts = word.split(":", 3);
            acl.add(new ACL(Integer.parseInt(parts[0]), new Id(parts[1], parts[2])));
        }
        return acl;
    }
}
