/* SPDX-License-Identifier: Apache-2.0
 *
 * Each proxy appends what it saw. So the last item was said by the peer, the one
 * before it by whom that item names, and so on: items are believed from the right
 * as long as they name somebody trusted, and the first who is not is the client
 * (nginx: real_ip_recursive). What stands left of that, anybody may have written.
 *
 * For the same reason all is read from the right. A client that sends half of a
 * quoted string cannot make what a proxy appended a part of it, as it could when
 * the list was taken apart from the left.
 *
 * An item that is none (an empty address, "unknown", a name, a second `for`)
 * says nothing of who is behind it: there it ends, with whom was known last. That
 * is no reason to refuse a request: RFC 7239 6.2 and 6.3 allow such items, and a
 * proxy's mistake is not its client's.
 */
#include "supervisor/gateway/forwarded.h"

#include <string.h>
#include <strings.h>

#include "ipc/cleanup.h"
#include "supervisor/gateway/chars.h"

static bool text_is(struct http_text t, const char *word) {
        return t.size == strlen(word) && !strncasecmp(t.text, word, t.size);
}

static struct http_text text_trim(struct http_text t) {
        while (t.size && char_is((uint8_t)t.text[0], CHAR_BLANK)) {
                t.text++;
                t.size--;
        }
        while (t.size && char_is((uint8_t)t.text[t.size - 1], CHAR_BLANK))
                t.size--;
        return t;
}

/* Lists from their end ----------------------------------------------------------------------------------------------------- */

/* All fields of one name are one list (RFC 9110 5.2). */
struct walk {
        const struct http_head *head;
        const char *name;
        uint32_t n_fields; /* not looked at yet */
        struct http_text rest;
};

/* Backwards: a quote with an odd number of backslashes before it is a character of the string. */
static bool is_escaped(struct http_text t, uint32_t at) {
        uint32_t n = 0;

        while (n < at && t.text[at - n - 1] == '\\')
                n++;
        return n % 2;
}

/* Where the last item begins. */
static uint32_t last_item(struct http_text t) {
        bool quoted = false;

        for (uint32_t at = t.size; at; at--) {
                char c = t.text[at - 1];

                if (c == '"' && !(quoted && is_escaped(t, at - 1)))
                        quoted = !quoted;
                else if (c == ',' && !quoted)
                        return at;
        }
        return 0;
}

/* The item before; empty ones are skipped (RFC 9110 5.6.1). */
static bool walk_back(struct walk *w, struct http_text *ret_item) {
        for (;;) {
                uint32_t at;

                while (!w->rest.size) {
                        const struct http_field *f;

                        if (!w->n_fields)
                                return false;
                        f = &w->head->fields[--w->n_fields];
                        if (text_is(f->name, w->name))
                                w->rest = f->value;
                }
                at = last_item(w->rest);
                *ret_item = text_trim((struct http_text){ w->rest.text + at, w->rest.size - at });
                w->rest.size = at ? at - 1 : 0;
                if (ret_item->size)
                        return true;
        }
}

static struct walk walk_begin(const struct http_head *head, const char *name) {
        return (struct walk){ .head = head, .name = name, .n_fields = head->n_fields };
}

/* Nodes ------------------------------------------------------------------------------------------------------------------- */

/* RFC 7239 6.2: a port is digits, or a name that hides it. */
static bool is_port(struct http_text t) {
        if (!t.size || t.text[0] != ':')
                return !t.size;
        if (t.size < 2)
                return false;
        for (uint32_t i = 1; i < t.size; i++)
                if (!char_is((uint8_t)t.text[i], CHAR_TOKEN))
                        return false;
        return true;
}

/* "192.0.2.1", "192.0.2.1:80", "[2001:db8::1]:80", "[2001:db8::1]", and without brackets, as X-Forwarded-For has it. */
static bool node_parse(struct http_text t, struct address *ret_address) {
        const char *end;
        uint32_t n;

        if (!t.size)
                return false;
        if (t.text[0] == '[') {
                end = memchr(t.text, ']', t.size);
                if (!end || !memchr(t.text, ':', (size_t)(end - t.text)))
                        return false;
                n = (uint32_t)(end - t.text);
                return is_port((struct http_text){ end + 1, t.size - n - 1 }) && address_parse(t.text + 1, n - 1, ret_address);
        }
        if (address_parse(t.text, t.size, ret_address))
                return true;
        end = memchr(t.text, ':', t.size);
        n = end ? (uint32_t)(end - t.text) : t.size;
        return end && is_port((struct http_text){ end, t.size - n }) && address_parse(t.text, n, ret_address);
}

/* What is neither says nothing. */
static void proto_parse(struct http_text t, bool *ret_secure) {
        if (text_is(t, "http") || text_is(t, "https"))
                *ret_secure = t.size == 5;
}

/* X-Forwarded-... --------------------------------------------------------------------------------------------------------- */

/* Proxies that append to it, too, say of each hop how it was reached: the client's is the `nth` from the right, as its address is.
 * Where there are fewer values, some have set it anew or nothing at all, and it is the first one. */
static void follow_proto(struct forwarded *f, const struct http_head *head, uint32_t nth) {
        struct walk w = walk_begin(head, "x-forwarded-proto");
        struct http_text item = { 0 };

        for (uint32_t i = 0; i < MAX(nth, 1u) && walk_back(&w, &item); i++)
                ;
        proto_parse(item, &f->secure);
}

static void follow_x(struct forwarded *f, const struct http_head *head, const struct address_set *trusted) {
        struct walk w = walk_begin(head, "x-forwarded-for");
        struct http_text item;
        uint32_t nth = 0;

        while (address_set_contains(trusted, &f->client) && walk_back(&w, &item) && node_parse(item, &f->client))
                nth++;
        follow_proto(f, head, nth);
}

/* Forwarded --------------------------------------------------------------------------------------------------------------- */

/* One element: what it says of whom. */
struct element {
        struct http_text node, proto;
};

/* Behind the opening quote: where the string ends, or NULL. */
static const char *quoted_end(const char *at, const char *end) {
        while (at < end && *at != '"')
                at += *at == '\\' ? 2 : 1;
        return at < end ? at : NULL;
}

/* A token, or a quoted string as it stands there: what we look for needs no escapes, and with one it is no address. */
static bool value_take(struct http_text *t, struct http_text *ret_value) {
        const char *begin = t->text, *end;
        uint32_t n = 0;

        if (t->size && begin[0] == '"') {
                end = quoted_end(begin + 1, begin + t->size);
                if (!end)
                        return false;
                n = (uint32_t)(end - begin) + 1;
                *ret_value = (struct http_text){ begin + 1, n - 2 };
        } else {
                while (n < t->size && char_is((uint8_t)begin[n], CHAR_TOKEN))
                        n++;
                *ret_value = (struct http_text){ begin, n };
        }
        *t = (struct http_text){ begin + n, t->size - n };
        return true;
}

/* RFC 7239 4: forwarded-pair *( ";" forwarded-pair ), none of which is there twice. */
static bool element_parse(struct http_text t, struct element *ret_element) {
        struct element e = { 0 };

        while (t.size) {
                struct http_text name, value, *to;

                if (!value_take(&t, &name) || !t.size || t.text[0] != '=')
                        return false;
                t = (struct http_text){ t.text + 1, t.size - 1 };
                if (!value_take(&t, &value) || !value.size)
                        return false;
                to = text_is(name, "for") ? &e.node : text_is(name, "proto") ? &e.proto : NULL;
                if (to && to->size)
                        return false;
                if (to)
                        *to = value;
                t = text_trim(t);
                if (t.size && t.text[0] != ';')
                        return false;
                if (t.size)
                        t = text_trim((struct http_text){ t.text + 1, t.size - 1 });
        }
        *ret_element = e;
        return true;
}

static void follow_rfc7239(struct forwarded *f, const struct http_head *head, const struct address_set *trusted) {
        struct walk w = walk_begin(head, "forwarded");
        struct http_text item;
        struct element e;

        while (address_set_contains(trusted, &f->client) && walk_back(&w, &item) && element_parse(item, &e)) {
                proto_parse(e.proto, &f->secure);
                if (!node_parse(e.node, &f->client))
                        return;
        }
}

/* Both -------------------------------------------------------------------------------------------------------------------- */

void forwarded_follow(struct forwarded *f, const struct http_head *head, enum forwarding forwarding, const struct address_set *trusted) {
        if (!address_set_contains(trusted, &f->client))
                return;
        if (forwarding == FORWARDING_X)
                follow_x(f, head, trusted);
        else
                follow_rfc7239(f, head, trusted);
}

static bool is_rfc7239(struct http_text name) {
        return name.size == 9 && !memcmp(name.text, "forwarded", 9);
}

/* On the way of every request: one look at the first character of most. */
bool forwarded_is_field(struct http_text name) {
        if (name.text[0] != 'x')
                return name.text[0] == 'f' && is_rfc7239(name);
        return (name.size > 12 && !memcmp(name.text, "x-forwarded-", 12)) || (name.size == 9 && !memcmp(name.text, "x-real-ip", 9));
}

void forwarded_strip(struct http_head *head, enum forwarding forwarding, bool trusted) {
        uint32_t kept = 0;

        for (uint32_t i = 0; i < head->n_fields; i++) {
                const struct http_field *field = &head->fields[i];

                if (forwarded_is_field(field->name) && (!trusted || is_rfc7239(field->name) != (forwarding == FORWARDING_RFC7239)))
                        continue;
                if (kept != i)
                        head->fields[kept] = *field;
                kept++;
        }
        head->n_fields = kept;
}
