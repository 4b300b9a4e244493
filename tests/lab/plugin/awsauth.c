/*
 * Copyright: dbops.rds_iam contributors
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The server plugin "AWSAuthenticationPlugin" of the lab, for MariaDB (10.4 and later) and MySQL (8.0 and later).
 *
 *     cc -shared -fPIC -O2 -Wall -Wextra -o awsauth.so awsauth.c
 *
 * It decides nothing. It asks the client for the token (as RDS does, with mysql_clear_password) and hands it to the
 * verifier on the unix socket $AWSAUTH_SOCKET. Request: "AWSAUTH/1", then one line "key hex" per field, then an empty
 * line. Answer: "OK ..." or "NO reason". Whatever goes wrong refuses the login. The token is written nowhere else.
 *
 * Distributions do not package the servers' plugin headers, so the structures of the ABI are declared here.
 * One .so exports the declarations of both servers; each reads its own.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

enum { AUTHENTICATION_PLUGIN = 7, LICENSE_GPL = 1, MATURITY_STABLE = 5 };
enum { LOGIN_OK = -1, LOGIN_ERROR = 0, LOGIN_REFUSED = 1 };
enum { PROTOCOL_TCP = 1 };
enum { TLS_OFF = 0, TLS_ON = 1, TLS_UNKNOWN = 2 };
enum { VERIFIER_SECONDS = 10 };

/* ---- What both servers hand to a plugin ---- */

struct channel_info {
    int protocol;
    int socket;
    char tls;         /* only MySQL writes this */
    char reserved[64];
};

struct channel {
    int (*read_packet)(struct channel *, unsigned char **);
    int (*write_packet)(struct channel *, const unsigned char *, int);
    void (*info)(struct channel *, struct channel_info *);
};

struct mysql_login {
    char *user;
    unsigned int user_length;
    const char *auth_string;
    unsigned long auth_string_length;
    char authenticated_as[97];
    char external_user[512];
    int password_used;
    const char *host;
    unsigned int host_length;
};

struct mariadb_login {
    const char *user;
    unsigned int user_length;
    const char *auth_string;
    unsigned long auth_string_length;
    char authenticated_as[513];
    char external_user[513];
    int password_used;
    const char *host;
    unsigned int host_length;
    void *thread;
};

struct bytes {
    const void *data;
    size_t length;
};

/* ---- The question to the verifier ---- */

static void put(FILE *request, const char *key, struct bytes value)
{
    const unsigned char *byte = value.data;
    fprintf(request, "%s ", key);
    for (size_t i = 0; i < value.length; i++)
        fprintf(request, "%02x", byte[i]);
    fputc('\n', request);
}

static void put_text(FILE *request, const char *key, const char *text)
{
    put(request, key, (struct bytes){text, strlen(text)});
}

typedef int address_of(int, struct sockaddr *restrict, socklen_t *restrict);

/* "ADDRESS PORT" of one end of the connection, or nothing when it is not TCP. */
static void put_address(FILE *request, const char *key, int connection, address_of *end)
{
    struct sockaddr_storage storage;
    socklen_t length = sizeof storage;
    char host[INET6_ADDRSTRLEN] = "", text[INET6_ADDRSTRLEN + 8] = "";

    if (end(connection, (struct sockaddr *)&storage, &length) == 0) {
        if (storage.ss_family == AF_INET) {
            struct sockaddr_in *in = (void *)&storage;
            inet_ntop(AF_INET, &in->sin_addr, host, sizeof host);
            snprintf(text, sizeof text, "%s %d", host, ntohs(in->sin_port));
        } else if (storage.ss_family == AF_INET6) {
            struct sockaddr_in6 *in6 = (void *)&storage;
            inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof host);
            snprintf(text, sizeof text, "%s %d", host, ntohs(in6->sin6_port));
        }
    }
    put_text(request, key, text);
}

static int connect_verifier(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval limit = {.tv_sec = VERIFIER_SECONDS};
    const char *path = getenv("AWSAUTH_SOCKET");

    if (!path || strlen(path) >= sizeof address.sun_path) {
        fprintf(stderr, "awsauth: AWSAUTH_SOCKET is not set, or too long\n");
        return -1;
    }
    strcpy(address.sun_path, path);
    int verifier = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (verifier < 0)
        return -1;
    setsockopt(verifier, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(verifier, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    if (connect(verifier, (struct sockaddr *)&address, sizeof address)) {
        fprintf(stderr, "awsauth: %s: %s\n", path, strerror(errno));
        close(verifier);
        return -1;
    }
    return verifier;
}

static int send_all(int verifier, const char *data, size_t length)
{
    while (length > 0) {
        ssize_t sent = send(verifier, data, length, MSG_NOSIGNAL);
        if (sent <= 0)
            return 0;
        data += sent;
        length -= (size_t)sent;
    }
    return 1;
}

/* Whether the verifier says OK, to the end of its line. Its reason for a refusal goes to the server's error log. */
static int says_ok(int verifier)
{
    char answer[1024];
    size_t length = 0;
    ssize_t got;

    while (length < sizeof answer - 1 && (got = recv(verifier, answer + length, sizeof answer - 1 - length, 0)) > 0)
        length += (size_t)got;
    answer[length] = 0;
    char *end = strchr(answer, '\n');
    if (end)
        *end = 0;
    if (end && (strcmp(answer, "OK") == 0 || strncmp(answer, "OK ", 3) == 0))
        return 1;
    fprintf(stderr, "awsauth: refused: %s\n", end ? answer : "the verifier gave no answer");
    return 0;
}

struct login {
    const char *flavor;
    struct bytes user, host, auth_string, token;
    int tls, connection;
};

static int verified(const struct login *login)
{
    static const char *const tls_text[] = {"0", "1", "2"};
    char *request = NULL;
    size_t length = 0;
    int ok = 0;

    int verifier = connect_verifier();
    if (verifier < 0)
        return 0;
    FILE *stream = open_memstream(&request, &length);
    if (stream) {
        fputs("AWSAUTH/1\n", stream);
        put_text(stream, "tls", tls_text[login->tls]);
        put_text(stream, "flavor", login->flavor);
        put(stream, "user", login->user);
        put(stream, "host", login->host);
        put(stream, "as", login->auth_string);
        put_address(stream, "local", login->connection, getsockname);
        put_address(stream, "peer", login->connection, getpeername);
        put(stream, "token", login->token);
        fputc('\n', stream);
        if (fclose(stream) == 0)
            ok = send_all(verifier, request, length) && says_ok(verifier);
        if (request)
            explicit_bzero(request, length);
        free(request);
    }
    close(verifier);
    return ok;
}

/* The token as the client sent it, without the zero byte that ends it. */
static int read_token(struct channel *channel, struct bytes *token)
{
    unsigned char *packet;
    int length = channel->read_packet(channel, &packet);

    if (length < 0)
        return 0;
    if (length > 0 && packet[length - 1] == 0)
        length--;
    *token = (struct bytes){packet, (size_t)length};
    return 1;
}

static struct channel_info ask_channel(struct channel *channel)
{
    struct channel_info info;

    memset(&info, 0, sizeof info);
    info.socket = -1;
    channel->info(channel, &info);
    return info;
}

/* ---- MariaDB ---- */

/*
 * MariaDB does not tell a plugin whether the connection is encrypted. But a server with require_secure_transport=ON
 * lets no TCP login in without TLS, and the server program exports that variable. It checks after the plugin: "on"
 * means that the connection is encrypted, or that the login fails in any case. Without that certainty: "unknown".
 */
static int mariadb_tls(const struct channel_info *info)
{
    if (info->protocol != PROTOCOL_TCP)
        return TLS_OFF;
    const char *required = dlsym(RTLD_DEFAULT, "opt_require_secure_transport");
    return required && *required ? TLS_ON : TLS_UNKNOWN;
}

static int mariadb_authenticate(struct channel *channel, struct mariadb_login *asked)
{
    struct bytes token;

    /* First of all: the server knows user and account only once the client has answered. */
    if (!read_token(channel, &token))
        return LOGIN_ERROR;
    asked->password_used = 1;
    struct channel_info info = ask_channel(channel);
    struct login login = {
        .flavor = "mariadb",
        .user = {asked->user, asked->user_length},
        .host = {asked->host, asked->host_length},
        .auth_string = {asked->auth_string, asked->auth_string_length},
        .token = token,
        .tls = mariadb_tls(&info),
        .connection = info.socket,
    };
    return verified(&login) ? LOGIN_OK : LOGIN_REFUSED;
}

static struct {
    int version;
    const char *client_plugin;
    int (*authenticate)(struct channel *, struct mariadb_login *);
    void *hash_password, *preprocess_hash;
} mariadb_handler = {0x0202, "mysql_clear_password", mariadb_authenticate, NULL, NULL};

struct mariadb_plugin {
    int type;
    void *info;
    const char *name, *author, *description;
    int license;
    int (*init)(void *);
    int (*deinit)(void *);
    unsigned int version;
    void *status_variables, *system_variables;
    const char *version_text;
    unsigned int maturity;
};

EXPORT int _maria_plugin_interface_version_ = 0x010f;
EXPORT int _maria_sizeof_struct_st_plugin_ = sizeof(struct mariadb_plugin);
EXPORT struct mariadb_plugin _maria_plugin_declarations_[] = {
    {
        .type = AUTHENTICATION_PLUGIN,
        .info = &mariadb_handler,
        .name = "AWSAuthenticationPlugin",
        .author = "dbops.rds_iam contributors",
        .description = "RDS IAM tokens, checked by the lab",
        .license = LICENSE_GPL,
        .version = 0x0100,
        .version_text = "1.0",
        .maturity = MATURITY_STABLE,
    },
    {0},
};

/* ---- MySQL ---- */

static int mysql_authenticate(struct channel *channel, struct mysql_login *asked)
{
    struct bytes token;

    /* First of all: the server knows user and account only once the client has answered. */
    if (!read_token(channel, &token))
        return LOGIN_ERROR;
    asked->password_used = 1;
    struct channel_info info = ask_channel(channel);
    struct login login = {
        .flavor = "mysql",
        .user = {asked->user, asked->user_length},
        .host = {asked->host, asked->host_length},
        .auth_string = {asked->auth_string, asked->auth_string_length},
        .token = token,
        .tls = info.tls ? TLS_ON : TLS_OFF,
        .connection = info.socket,
    };
    return verified(&login) ? LOGIN_OK : LOGIN_REFUSED;
}

/* CREATE USER ... AS 'RDS' stores the text as it is given. */
static int mysql_keep_auth_string(char *out, unsigned int *out_length, const char *in, unsigned int in_length)
{
    if (*out_length < in_length)
        return 1;
    memcpy(out, in, in_length);
    *out_length = in_length;
    return 0;
}

static int mysql_accept_auth_string(char *text, unsigned int length)
{
    (void)text;
    (void)length;
    return 0;
}

static int mysql_no_salt(const char *text, unsigned int length, unsigned char *salt, unsigned char *salt_length)
{
    (void)text;
    (void)length;
    (void)salt;
    *salt_length = 0;
    return 0;
}

static struct {
    int version;
    const char *client_plugin;
    int (*authenticate)(struct channel *, struct mysql_login *);
    int (*generate)(char *, unsigned int *, const char *, unsigned int);
    int (*validate)(char *, unsigned int);
    int (*salt)(const char *, unsigned int, unsigned char *, unsigned char *);
    unsigned long flags;
    void *compare;
} mysql_handler = {
    0x0201, "mysql_clear_password", mysql_authenticate, mysql_keep_auth_string, mysql_accept_auth_string,
    mysql_no_salt, 0, NULL,
};

struct mysql_plugin {
    int type;
    void *info;
    const char *name, *author, *description;
    int license;
    int (*init)(void *);
    int (*check_uninstall)(void *);
    int (*deinit)(void *);
    unsigned int version;
    void *status_variables, *system_variables, *reserved;
    unsigned long flags;
};

EXPORT int _mysql_plugin_interface_version_ = 0x010b;
EXPORT int _mysql_sizeof_struct_st_plugin_ = sizeof(struct mysql_plugin);
EXPORT struct mysql_plugin _mysql_plugin_declarations_[] = {
    {
        .type = AUTHENTICATION_PLUGIN,
        .info = &mysql_handler,
        .name = "AWSAuthenticationPlugin",
        .author = "dbops.rds_iam contributors",
        .description = "RDS IAM tokens, checked by the lab",
        .license = LICENSE_GPL,
        .version = 0x0100,
    },
    {0},
};
