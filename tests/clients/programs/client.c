/* The C client under the tests: one command per line of standard input, one answer per command, every event as it comes.
 *
 *     client HOSTS TIMEOUT_MS [readonly]
 *
 * Lines of output: "* STATE" for the session, "! KIND PATH" for a watch event, "= CODE ..." for an answer. All operations
 * are asynchronous, so that answers and events are printed by one thread, in the order in which they came.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zookeeper/zookeeper.h>

enum { MAX_WORDS = 256, MAX_OPS = 32, MAX_LINE = 4 * 1024 * 1024, MAX_NAME = 4096 };

static zhandle_t *zh;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t answered = PTHREAD_COND_INITIALIZER;
static int pending;

static zoo_op_t ops[MAX_OPS];
static zoo_op_result_t results[MAX_OPS];
static char names[MAX_OPS][MAX_NAME];
static struct Stat stats[MAX_OPS];
static int op_count;

static void line_ends(void) {
    putchar('\n');
    fflush(stdout);
}

static void on_state(zhandle_t *handle, int type, int state, const char *path, void *context) {
    (void)handle, (void)path, (void)context;
    if (type != ZOO_SESSION_EVENT)
        return;
    const char *name = state == ZOO_CONNECTED_STATE         ? "connected"
                       : state == ZOO_READONLY_STATE        ? "readonly"
                       : state == ZOO_EXPIRED_SESSION_STATE ? "expired"
                       : state == ZOO_AUTH_FAILED_STATE     ? "authfailed"
                                                            : "disconnected";
    printf("* %s", name);
    line_ends();
}

static void on_watch(zhandle_t *handle, int type, int state, const char *path, void *context) {
    (void)handle, (void)state, (void)context;
    if (type == ZOO_SESSION_EVENT)
        return;
    const char *name = type == ZOO_CREATED_EVENT       ? "created"
                       : type == ZOO_DELETED_EVENT     ? "deleted"
                       : type == ZOO_CHANGED_EVENT     ? "changed"
                       : type == ZOO_CHILD_EVENT       ? "children"
                       : type == ZOO_NOTWATCHING_EVENT ? "removed"
                                                       : "unknown";
    printf("! %s %s", name, path);
    line_ends();
}

static void finished(void) {
    line_ends();
    pthread_mutex_lock(&lock);
    pending = 0;
    pthread_cond_signal(&answered);
    pthread_mutex_unlock(&lock);
}

static void print_stat(const struct Stat *stat) {
    const char *owner = stat->ephemeralOwner == 0                                    ? "-"
                        : stat->ephemeralOwner == zoo_client_id(zh)->client_id ? "mine"
                                                                                     : "other";
    printf(" %d %d %d %s %d %d", stat->version, stat->cversion, stat->aversion, owner, stat->dataLength,
           stat->numChildren);
}

static void on_void(int rc, const void *data) {
    (void)data;
    printf("= %d", rc);
    finished();
}

static void on_stat(int rc, const struct Stat *stat, const void *data) {
    (void)data;
    printf("= %d", rc);
    if (rc == ZOK)
        print_stat(stat);
    finished();
}

static void on_data(int rc, const char *value, int length, const struct Stat *stat, const void *data) {
    (void)data;
    printf("= %d", rc);
    if (rc == ZOK) {
        if (length < 0)
            printf(" null");
        else if (length > 64)
            printf(" (%d)", length);
        else
            printf(" %.*s", length, value);
        print_stat(stat);
    }
    finished();
}

static int by_name(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void on_children(int rc, const struct String_vector *list, const struct Stat *stat, const void *data) {
    (void)data;
    printf("= %d", rc);
    if (rc == ZOK) {
        qsort(list->data, list->count, sizeof *list->data, by_name);
        printf(" [");
        for (int i = 0; i < list->count; i++)
            printf("%s%s", i ? "," : "", list->data[i]);
        printf("]");
        print_stat(stat);
    }
    finished();
}

static void on_name(int rc, const char *name, const struct Stat *stat, const void *data) {
    (void)data;
    printf("= %d", rc);
    if (rc == ZOK) {
        printf(" %s", name);
        print_stat(stat);
    }
    finished();
}

static void on_path(int rc, const char *path, const void *data) {
    (void)data;
    printf("= %d %s", rc, path ? path : "null");
    finished();
}

static void on_acl(int rc, struct ACL_vector *acl, struct Stat *stat, const void *data) {
    (void)data, (void)stat;
    printf("= %d", rc);
    for (int i = 0; rc == ZOK && i < acl->count; i++)
        printf(" %d:%s:%s", acl->data[i].perms, acl->data[i].id.scheme, acl->data[i].id.id);
    finished();
}

static void on_multi(int rc, const void *data) {
    (void)data;
    printf("= %d", rc);
    for (int i = 0; i < op_count; i++) {
        printf(" %d", results[i].err);
        if (rc == ZOK && ops[i].type == ZOO_CREATE_OP)
            printf(":%s", results[i].value);
        if (rc == ZOK && ops[i].type == ZOO_SETDATA_OP)
            printf(":%d", stats[i].version);
    }
    finished();
}

/* p, e, s, es, c, t=TTL or ts=TTL. */
static int create_mode(const char *word, int64_t *ttl) {
    const char *equals = strchr(word, '=');
    *ttl = equals ? atoll(equals + 1) : -1;
    if (word[0] == 't')
        return word[1] == 's' ? ZOO_PERSISTENT_SEQUENTIAL_WITH_TTL : ZOO_PERSISTENT_WITH_TTL;
    if (word[0] == 'c')
        return ZOO_CONTAINER;
    if (word[0] == 'e')
        return word[1] == 's' ? ZOO_EPHEMERAL_SEQUENTIAL : ZOO_EPHEMERAL;
    return word[0] == 's' ? ZOO_PERSISTENT_SEQUENTIAL : 0;
}

/* "-" is null; "*N" is N bytes. */
static const char *bytes(const char *word, int *length) {
    static char *large;
    if (strcmp(word, "-") == 0) {
        *length = -1;
        return NULL;
    }
    if (word[0] != '*') {
        *length = (int)strlen(word);
        return word;
    }
    *length = atoi(word + 1);
    large = realloc(large, *length + 1);
    memset(large, 'x', *length);
    return large;
}

/* Groups between the words ";": create PATH DATA MODE, set PATH DATA VERSION, delete PATH VERSION, check PATH VERSION. */
static int multi(char **words, int count) {
    op_count = 0;
    for (int at = 1; at < count && op_count < MAX_OPS;) {
        char **w = words + at;
        zoo_op_t *op = &ops[op_count];
        int length;
        int64_t ttl;
        if (strcmp(w[0], "create") == 0) {
            const char *value = bytes(w[2], &length);
            zoo_create_op_init(op, w[1], value, length, &ZOO_OPEN_ACL_UNSAFE, create_mode(w[3], &ttl), names[op_count],
                               MAX_NAME);
        } else if (strcmp(w[0], "set") == 0) {
            const char *value = bytes(w[2], &length);
            zoo_set_op_init(op, w[1], value, length, atoi(w[3]), &stats[op_count]);
        } else if (strcmp(w[0], "delete") == 0) {
            zoo_delete_op_init(op, w[1], atoi(w[2]));
        } else {
            zoo_check_op_init(op, w[1], atoi(w[2]));
        }
        op_count++;
        while (at < count && strcmp(words[at], ";") != 0)
            at++;
        at++;
    }
    return zoo_amulti(zh, op_count, ops, results, on_multi, NULL);
}

/* PERMS:SCHEME:ID, the id as it is. */
static int set_acl(char **words, int count) {
    static struct ACL entries[MAX_WORDS];
    struct ACL_vector acl = {count - 2, entries};
    for (int i = 2; i < count; i++) {
        char *scheme = strchr(words[i], ':');
        char *id = strchr(scheme + 1, ':');
        *scheme++ = *id++ = 0;
        entries[i - 2] = (struct ACL){atoi(words[i]), {scheme, id}};
    }
    return zoo_aset_acl(zh, words[1], -1, &acl, on_void, NULL);
}

static int run(char **w, int count) {
    watcher_fn watcher = strcmp(w[count - 1], "w") == 0 ? on_watch : NULL;
    int length;
    int64_t ttl;
    if (strcmp(w[0], "exists") == 0)
        return zoo_awexists(zh, w[1], watcher, NULL, on_stat, NULL);
    if (strcmp(w[0], "get") == 0)
        return zoo_awget(zh, w[1], watcher, NULL, on_data, NULL);
    if (strcmp(w[0], "children") == 0)
        return zoo_awget_children2(zh, w[1], watcher, NULL, on_children, NULL);
    if (strcmp(w[0], "create") == 0) {
        const char *value = bytes(w[2], &length);
        int mode = create_mode(w[3], &ttl);
        return zoo_acreate2_ttl(zh, w[1], value, length, &ZOO_OPEN_ACL_UNSAFE, mode, ttl, on_name, NULL);
    }
    if (strcmp(w[0], "set") == 0) {
        const char *value = bytes(w[2], &length);
        return zoo_aset(zh, w[1], value, length, atoi(w[3]), on_stat, NULL);
    }
    if (strcmp(w[0], "delete") == 0)
        return zoo_adelete(zh, w[1], atoi(w[2]), on_void, NULL);
    if (strcmp(w[0], "sync") == 0)
        return zoo_async(zh, w[1], on_path, NULL);
    if (strcmp(w[0], "getacl") == 0)
        return zoo_aget_acl(zh, w[1], on_acl, NULL);
    if (strcmp(w[0], "setacl") == 0)
        return set_acl(w, count);
    if (strcmp(w[0], "auth") == 0)
        return zoo_add_auth(zh, w[1], w[2], (int)strlen(w[2]), on_void, NULL);
    if (strcmp(w[0], "multi") == 0)
        return multi(w, count);
    if (strcmp(w[0], "unwatch") == 0) {
        ZooWatcherType type = strcmp(w[2], "children") == 0 ? ZWATCHTYPE_CHILD
                              : strcmp(w[2], "data") == 0   ? ZWATCHTYPE_DATA
                                                            : ZWATCHTYPE_ANY;
        printf("= %d", zoo_remove_all_watches(zh, w[1], type, 0));
        finished();
        return ZOK;
    }
    if (strcmp(w[0], "session") == 0) {
        printf("= 0 %llx %d", (unsigned long long)zoo_client_id(zh)->client_id, zoo_recv_timeout(zh));
        finished();
        return ZOK;
    }
    return ZUNIMPLEMENTED;
}

int main(int argc, char **argv) {
    if (argc < 3)
        return 2;
    zoo_set_debug_level(ZOO_LOG_LEVEL_WARN);
    zh = zookeeper_init(argv[1], on_state, atoi(argv[2]), NULL, NULL, argc > 3 ? ZOO_READONLY : 0);
    if (!zh)
        return 1;
    char *line = malloc(MAX_LINE);
    while (fgets(line, MAX_LINE, stdin)) {
        char *words[MAX_WORDS];
        int count = 0;
        for (char *word = strtok(line, " \n"); word && count < MAX_WORDS; word = strtok(NULL, " \n"))
            words[count++] = word;
        if (count == 0)
            continue;
        if (strcmp(words[0], "close") == 0)
            break;
        pthread_mutex_lock(&lock);
        pending = 1;
        pthread_mutex_unlock(&lock);
        int rc = run(words, count);
        if (rc != ZOK) {
            printf("= %d", rc);
            finished();
        }
        pthread_mutex_lock(&lock);
        while (pending)
            pthread_cond_wait(&answered, &lock);
        pthread_mutex_unlock(&lock);
    }
    int rc = zookeeper_close(zh);
    printf("= %d", rc);
    line_ends();
    return 0;
}
