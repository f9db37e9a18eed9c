/* SPDX-License-Identifier: Apache-2.0
 *
 * The PROXY protocol, read as it comes (sections are those of proxy-protocol.txt).
 *
 *   START --"PROXY"--> LINE --CR LF--> done          version 1, 2.1
 *   START --signature--> FIXED --> ADDRESS --> TLV --> done   version 2, 2.2
 *
 * The two begin with different bytes. Whoever is trusted to speak for others must
 * speak exactly: anything else ends the connection, for a proxy that is set up
 * wrongly is better noticed than guessed at. What is known and names no address
 * (UNKNOWN, LOCAL, UNSPEC) leaves the peer's own, as the sections demand.
 */
#include "supervisor/gateway/proxy-protocol.h"

#include <string.h>

#include "ipc/cleanup.h"

#define FIXED_SIZE 16u  /* of version 2: signature, version and command, family, length */
#define ADDRESS_MAX 36u /* what of the address block is looked at */
#define TLV_HEAD 3u

static const uint8_t signature[12] = { '\r', '\n', '\r', '\n', 0, '\r', '\n', 'Q', 'U', 'I', 'T', '\n' };

enum phase { PHASE_START, PHASE_LINE, PHASE_FIXED, PHASE_ADDRESS, PHASE_SKIP, PHASE_TLV, PHASE_OVER, PHASE_REFUSED };

enum family { FAMILY_UNSPEC = 0x00, FAMILY_TCP4 = 0x11, FAMILY_TCP6 = 0x21, FAMILY_UNIX = 0x31 };

enum { COMMAND_LOCAL = 0x20, COMMAND_PROXY = 0x21 };

#define TLV_SSL 0x20
#define TLV_SSL_CLIENT 0x01 /* PP2_CLIENT_SSL: the client came over TLS */

void proxy_parser_init(struct proxy_parser *p) {
        *p = (struct proxy_parser){ .phase = PHASE_START };
}

/* Version 1 --------------------------------------------------------------------------------------------------------------- */

/* Takes the text up to the next space, or to the end. */
static bool word_next(const char **at, const char *end, const char **ret_word, size_t *ret_size) {
        const char *space;

        if (!*at)
                return false;
        space = memchr(*at, ' ', (size_t)(end - *at));
        *ret_word = *at;
        *ret_size = (size_t)((space ? space : end) - *at);
        *at = space ? space + 1 : NULL;
        return true;
}

static bool word_is_port(const char *word, size_t size) {
        unsigned port = 0;

        if (!size || size > 5 || (size > 1 && word[0] == '0'))
                return false;
        for (size_t i = 0; i < size; i++) {
                if (word[i] < '0' || word[i] > '9')
                        return false;
                port = port * 10 + (unsigned)(word[i] - '0');
        }
        return port <= UINT16_MAX;
}

static bool word_is_address(const char *word, size_t size, bool ipv4, struct address *ret_address) {
        return address_parse(word, size, ret_address) && ipv4 == !memchr(word, ':', size);
}

/* "TCP4 192.0.2.1 192.0.2.2 5000 80", without CR LF. */
static bool line_parse(const char *line, const char *end, struct address *ret_client) {
        const char *at = line, *words[5];
        struct address client, ours;
        size_t sizes[5];
        bool ipv4;

        /* Whatever follows is to be ignored. */
        if (end - line >= 7 && !memcmp(line, "UNKNOWN", 7) && (end - line == 7 || line[7] == ' '))
                return true;
        for (size_t i = 0; i < N_ELEMENTS(words); i++)
                if (!word_next(&at, end, &words[i], &sizes[i]))
                        return false;
        if (at || sizes[0] != 4 || memcmp(words[0], "TCP", 3) != 0 || (words[0][3] != '4' && words[0][3] != '6'))
                return false;
        ipv4 = words[0][3] == '4';
        if (!word_is_address(words[1], sizes[1], ipv4, &client) || !word_is_address(words[2], sizes[2], ipv4, &ours))
                return false;
        if (!word_is_port(words[3], sizes[3]) || !word_is_port(words[4], sizes[4]))
                return false;
        *ret_client = client;
        return true;
}

static bool line_add(struct proxy_parser *p, uint8_t byte) {
        const char *text = (const char *)p->buffer;

        if (p->size == PROXY_LINE_MAX)
                return false;
        p->buffer[p->size++] = byte;
        if (byte != '\n')
                return true;
        if (p->size < 8 || p->buffer[p->size - 2] != '\r' || !line_parse(text + 6, text + p->size - 2, &p->client))
                return false;
        p->phase = PHASE_OVER;
        return true;
}

/* Version 2 --------------------------------------------------------------------------------------------------------------- */

static unsigned address_size(uint8_t family) {
        switch ((enum family)family) {
        case FAMILY_TCP4:
                return 12;
        case FAMILY_TCP6:
                return 36;
        case FAMILY_UNIX:
                return 216;
        case FAMILY_UNSPEC:
                break;
        }
        return 0;
}

static bool family_known(uint8_t family) {
        return family == FAMILY_UNSPEC || address_size(family);
}

/* What of the header is left is TLVs, or nothing that concerns us. */
static void address_over(struct proxy_parser *p) {
        p->size = 0;
        p->phase = !p->left ? PHASE_OVER : p->local || p->family == FAMILY_UNSPEC ? PHASE_SKIP : PHASE_TLV;
}

/* The 16 bytes are whole. */
static bool fixed_read(struct proxy_parser *p) {
        uint8_t command = p->buffer[12];

        p->family = p->buffer[13];
        p->left = (uint16_t)(p->buffer[14] << 8 | p->buffer[15]);
        p->local = command == COMMAND_LOCAL;
        if ((command != COMMAND_LOCAL && command != COMMAND_PROXY) || p->left > PROXY_HEADER_MAX)
                return false;
        p->size = 0;
        /* 2.2: of LOCAL the family must be ignored. */
        if (p->local || p->family == FAMILY_UNSPEC) {
                address_over(p);
                return true;
        }
        p->phase = PHASE_ADDRESS;
        p->tlv_left = (uint16_t)address_size(p->family);
        return family_known(p->family) && p->left >= p->tlv_left;
}

/* The source comes first: 4 or 16 bytes, in network order. */
static void address_read(struct proxy_parser *p) {
        if (p->family == FAMILY_UNIX) {
                p->client = (struct address){ .kind = ADDRESS_UNIX };
        } else if (p->family == FAMILY_TCP6) {
                p->client.kind = ADDRESS_IP;
                memcpy(p->client.bytes, p->buffer, 16);
        } else {
                p->client = (struct address){ .kind = ADDRESS_IP, .bytes[10] = 0xff, .bytes[11] = 0xff };
                memcpy(p->client.bytes + 12, p->buffer, 4);
        }
        address_over(p);
}

static void address_add(struct proxy_parser *p, uint8_t byte) {
        if (p->size < ADDRESS_MAX)
                p->buffer[p->size++] = byte;
        p->left--;
        if (!--p->tlv_left)
                address_read(p);
}

/* 2.2.6: type, length, value. */
static bool tlv_add(struct proxy_parser *p, uint8_t byte) {
        p->left--;
        if (p->tlv_left) {
                if (p->ssl_at)
                        p->secure = byte & TLV_SSL_CLIENT;
                p->ssl_at = false;
                p->tlv_left--;
        } else {
                p->buffer[p->size++] = byte;
                if (p->size == TLV_HEAD) {
                        p->size = 0;
                        p->tlv_left = (uint16_t)(p->buffer[1] << 8 | p->buffer[2]);
                        p->ssl_at = p->buffer[0] == TLV_SSL && p->tlv_left;
                        if (p->tlv_left > p->left)
                                return false;
                }
        }
        if (!p->left)
                p->phase = PHASE_OVER;
        return p->left || (!p->size && !p->tlv_left);
}

/* Both -------------------------------------------------------------------------------------------------------------------- */

/* Six bytes tell which one it is; each must be right for one of them. */
static bool start_add(struct proxy_parser *p, uint8_t byte) {
        static const char line[] = "PROXY ";
        bool first = p->size ? p->buffer[0] == line[0] : byte == line[0];

        p->buffer[p->size] = byte;
        if (byte != (first ? (uint8_t)line[p->size] : signature[p->size]))
                return false;
        p->size++;
        if (first && p->size == sizeof(line) - 1)
                p->phase = PHASE_LINE;
        else if (p->size == sizeof(signature))
                p->phase = PHASE_FIXED;
        return true;
}

static bool fixed_add(struct proxy_parser *p, uint8_t byte) {
        p->buffer[p->size++] = byte;
        return p->size < FIXED_SIZE || fixed_read(p);
}

static bool byte_add(struct proxy_parser *p, uint8_t byte) {
        switch ((enum phase)p->phase) {
        case PHASE_START:
                return start_add(p, byte);
        case PHASE_LINE:
                return line_add(p, byte);
        case PHASE_FIXED:
                return fixed_add(p, byte);
        case PHASE_ADDRESS:
                address_add(p, byte);
                return true;
        case PHASE_SKIP:
                if (!--p->left)
                        p->phase = PHASE_OVER;
                return true;
        case PHASE_TLV:
                return tlv_add(p, byte);
        case PHASE_OVER:
        case PHASE_REFUSED:
                break;
        }
        return false;
}

enum proxy_result proxy_parser_next(struct proxy_parser *p, uint8_t **at, uint8_t *end) {
        while (*at < end && p->phase != PHASE_OVER && p->phase != PHASE_REFUSED) {
                if (!byte_add(p, *(*at)++))
                        p->phase = PHASE_REFUSED;
        }
        if (p->phase == PHASE_OVER)
                return PROXY_DONE;
        return p->phase == PHASE_REFUSED ? PROXY_REFUSED : PROXY_MORE;
}
