import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentSkipListMap;
import java.util.concurrent.TimeUnit;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.recipes.atomic.DistributedAtomicLong;
import org.apache.curator.framework.recipes.cache.ChildData;
import org.apache.curator.framework.recipes.cache.CuratorCache;
import org.apache.curator.framework.recipes.cache.CuratorCacheListener;
import org.apache.curator.framework.recipes.cache.TreeCache;
import org.apache.curator.framework.recipes.leader.LeaderLatch;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.framework.recipes.nodes.PersistentNode;
import org.apache.curator.framework.state.ConnectionState;
import org.apache.curator.retry.RetryForever;
import org.apache.zookeeper.CreateMode;

/**
 * Curator's recipes under the tests: one command per line of standard input, one answer per command.
 *
 * <pre>Recipes HOSTS TIMEOUT_MS</pre>
 *
 * Lines of output: "* STATE" for the connection, "= ANSWER" for the answer to a command. A command that waits ("lock") is answered when it is
 * done; it runs beside the others.
 */
public final class Recipes {
    private static final Map<String, LeaderLatch> LATCHES = new HashMap<>();
    private static final Map<String, InterProcessMutex> LOCKS = new HashMap<>();
    private static final Map<String, PersistentNode> NODES = new HashMap<>();
    private static final Map<String, CuratorCache> CACHES = new HashMap<>();
    private static final Map<String, TreeCache> TREES = new HashMap<>();
    private static CuratorFramework curator;

    private Recipes() {}

    public static void main(String[] arguments) throws Exception {
        curator = CuratorFrameworkFactory.builder()
                .connectString(arguments[0])
                .sessionTimeoutMs(Integer.parseInt(arguments[1]))
                .connectionTimeoutMs(Integer.parseInt(arguments[1]))
                .retryPolicy(new RetryForever(100))
                .build();
        curator.getConnectionStateListenable().addListener((client, state) -> say("* " + name(state)));
        curator.start();
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = input.readLine(); line != null; line = input.readLine()) {
            String[] words = line.trim().split(" +");
            if (words[0].equals("close")) {
                break;
            }
            try {
                say("= 0 " + run(words));
            } catch (Exception error) {
                say("= " + error);
            }
        }
        curator.close();
        say("= 0");
    }

    private static synchronized void say(String line) {
        System.out.println(line);
        System.out.flush();
    }

    private static String name(ConnectionState state) {
        return switch (state) {
            case CONNECTED, RECONNECTED -> "connected";
            case SUSPENDED -> "disconnected";
            case LOST -> "expired";
            case READ_ONLY -> "readonly";
        };
    }

    private static byte[] bytes(String word) {
        return word.getBytes(StandardCharsets.UTF_8);
    }

    private static String text(byte[] data) {
        return data == null ? "null" : new String(data, StandardCharsets.UTF_8);
    }

    private static String run(String[] w) throws Exception {
        switch (w[0]) {
            case "sync":
                curator.sync().forPath(w[1]);
                return w[1];
            case "create":
                return curator.create().creatingParentsIfNeeded().withMode(CreateMode.valueOf(w[3])).forPath(w[1], bytes(w[2]));
            case "protected":
                return curator.create().withProtection().withMode(CreateMode.EPHEMERAL_SEQUENTIAL).forPath(w[1]);
            case "containers":
                return curator.create().creatingParentContainersIfNeeded().forPath(w[1], bytes(w[2]));
            case "set":
                return Integer.toString(curator.setData().forPath(w[1], bytes(w[2])).getVersion());
            case "delete":
                curator.delete().deletingChildrenIfNeeded().forPath(w[1]);
                return "";
            case "get":
                return text(curator.getData().forPath(w[1]));
            case "transaction":
                return Integer.toString(curator.transaction()
                        .forOperations(
                                curator.transactionOp().create().forPath(w[1], bytes(w[2])),
                                curator.transactionOp().setData().forPath(w[1], bytes(w[3])),
                                curator.transactionOp().check().withVersion(1).forPath(w[1]))
                        .size());
            case "latch":
                LeaderLatch latch = new LeaderLatch(curator, w[1], w[2]);
                LATCHES.put(w[1], latch);
                latch.start();
                return "";
            case "leads":
                return Boolean.toString(LATCHES.get(w[1]).hasLeadership());
            case "leader":
                return LATCHES.get(w[1]).getLeader().getId();
            case "resign":
                LATCHES.remove(w[1]).close();
                return "";
            case "lock":
                InterProcessMutex lock = LOCKS.computeIfAbsent(w[1], path -> new InterProcessMutex(curator, path));
                return Boolean.toString(lock.acquire(Long.parseLong(w[2]), TimeUnit.MILLISECONDS));
            case "unlock":
                LOCKS.get(w[1]).release();
                return "";
            case "holds":
                return Boolean.toString(LOCKS.get(w[1]).isOwnedByCurrentThread());
            case "add":
                return text(bytes(Long.toString(new DistributedAtomicLong(curator, w[1], new RetryForever(50))
                        .add(Long.parseLong(w[2]))
                        .postValue())));
            case "node":
                PersistentNode node = new PersistentNode(curator, CreateMode.EPHEMERAL, false, w[1], bytes(w[2]));
                NODES.put(w[1], node);
                node.start();
                return Boolean.toString(node.waitForInitialCreate(60, TimeUnit.SECONDS));
            case "cache":
                cache(w[1]);
                return "";
            case "cached":
                return cached(w[1]);
            case "tree":
                TreeCache tree = TreeCache.newBuilder(curator, w[1]).build();
                TREES.put(w[1], tree);
                tree.start();
                return "";
            case "treed":
                Map<String, String> found = new TreeMap<>();
                walk(TREES.get(w[1]), w[1], found);
                return found.toString().replace(" ", "");
            case "events":
                return String.join(",", EVENTS);
            default:
                return "unknown command";
        }
    }

    private static final List<String> EVENTS = java.util.Collections.synchronizedList(new ArrayList<>());

    private static void cache(String path) {
        CuratorCache cache = CuratorCache.build(curator, path);
        cache.listenable().addListener(CuratorCacheListener.builder()
                .forCreates(node -> EVENTS.add("created:" + node.getPath()))
                .forChanges((before, after) -> EVENTS.add("changed:" + after.getPath()))
                .forDeletes(node -> EVENTS.add("deleted:" + node.getPath()))
                .build());
        CACHES.put(path, cache);
        cache.start();
    }

    private static String cached(String path) {
        Map<String, String> found = new ConcurrentSkipListMap<>();
        CACHES.get(path).stream().forEach(node -> found.put(node.getPath(), text(node.getData())));
        return found.toString().replace(" ", "");
    }

    private static void walk(TreeCache tree, String path, Map<String, String> found) {
        ChildData here = tree.getCurrentData(path);
        if (here == null) {
            return;
        }
        found.put(path, text(here.getData()));
        Map<String, ChildData> children = tree.getCurrentChildren(path);
        for (String child : children == null ? new String[0] : children.keySet().toArray(new String[0])) {
            walk(tree, path + "/" + child, found);
        }
    }
}
