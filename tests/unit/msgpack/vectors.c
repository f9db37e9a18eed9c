/* SPDX-License-Identifier: Apache-2.0
 *
 * The table. P(bytes) is a part of a vector, R(n, bytes) one that is there n times.
 */
#include "tests/unit/msgpack/vectors.h"

#include <stdlib.h>
#include <string.h>

#define P(text)                                                                                                                            \
        { text, sizeof(text) - 1, 1 }
#define R(n, text)                                                                                                                         \
        { text, sizeof(text) - 1, n }

#define TEN(text) text text text text text text text text text text
#define NILS TEN(TEN(TEN("\xc0")))

/* clang-format off */
const struct vector vectors[] = {
        /* nil format */
        { "nil format", "nil", { P("\xc0") }, "nil" },
        /* bool format family */
        { "bool format family", "false", { P("\xc2") }, "false" },
        { "bool format family", "true", { P("\xc3") }, "true" },
        /* int format family: each width at its limits, and below what it is for */
        { "int format family", "positive fixint 0", { P("\x00") }, "0" },
        { "int format family", "positive fixint 1", { P("\x01") }, "1" },
        { "int format family", "positive fixint 127", { P("\x7f") }, "127" },
        { "int format family", "negative fixint -1", { P("\xff") }, "-1" },
        { "int format family", "negative fixint -32", { P("\xe0") }, "-32" },
        { "int format family", "uint 8 0", { P("\xcc\x00") }, "0", .repacked = true },
        { "int format family", "uint 8 127", { P("\xcc\x7f") }, "127", .repacked = true },
        { "int format family", "uint 8 128", { P("\xcc\x80") }, "128" },
        { "int format family", "uint 8 255", { P("\xcc\xff") }, "255" },
        { "int format family", "uint 16 0", { P("\xcd\x00\x00") }, "0", .repacked = true },
        { "int format family", "uint 16 255", { P("\xcd\x00\xff") }, "255", .repacked = true },
        { "int format family", "uint 16 256", { P("\xcd\x01\x00") }, "256" },
        { "int format family", "uint 16 65535", { P("\xcd\xff\xff") }, "65535" },
        { "int format family", "uint 32 0", { P("\xce\x00\x00\x00\x00") }, "0", .repacked = true },
        { "int format family", "uint 32 65535", { P("\xce\x00\x00\xff\xff") }, "65535", .repacked = true },
        { "int format family", "uint 32 65536", { P("\xce\x00\x01\x00\x00") }, "65536" },
        { "int format family", "uint 32 4294967295", { P("\xce\xff\xff\xff\xff") }, "4294967295" },
        { "int format family", "uint 64 0", { P("\xcf\x00\x00\x00\x00\x00\x00\x00\x00") }, "0", .repacked = true },
        { "int format family", "uint 64 4294967295", { P("\xcf\x00\x00\x00\x00\xff\xff\xff\xff") }, "4294967295", .repacked = true },
        { "int format family", "uint 64 4294967296", { P("\xcf\x00\x00\x00\x01\x00\x00\x00\x00") }, "4294967296" },
        { "int format family", "uint 64 9223372036854775807", { P("\xcf\x7f\xff\xff\xff\xff\xff\xff\xff") }, "9223372036854775807" },
        { "int format family", "uint 64 9223372036854775808", { P("\xcf\x80\x00\x00\x00\x00\x00\x00\x00") }, "9223372036854775808" },
        { "int format family", "uint 64 18446744073709551615", { P("\xcf\xff\xff\xff\xff\xff\xff\xff\xff") }, "18446744073709551615" },
        { "int format family", "int 8 0", { P("\xd0\x00") }, "0", .repacked = true },
        { "int format family", "int 8 127", { P("\xd0\x7f") }, "127", .repacked = true },
        { "int format family", "int 8 -1", { P("\xd0\xff") }, "-1", .repacked = true },
        { "int format family", "int 8 -32", { P("\xd0\xe0") }, "-32", .repacked = true },
        { "int format family", "int 8 -33", { P("\xd0\xdf") }, "-33" },
        { "int format family", "int 8 -128", { P("\xd0\x80") }, "-128" },
        { "int format family", "int 16 0", { P("\xd1\x00\x00") }, "0", .repacked = true },
        { "int format family", "int 16 32767", { P("\xd1\x7f\xff") }, "32767", .repacked = true },
        { "int format family", "int 16 -1", { P("\xd1\xff\xff") }, "-1", .repacked = true },
        { "int format family", "int 16 -128", { P("\xd1\xff\x80") }, "-128", .repacked = true },
        { "int format family", "int 16 -129", { P("\xd1\xff\x7f") }, "-129" },
        { "int format family", "int 16 -32768", { P("\xd1\x80\x00") }, "-32768" },
        { "int format family", "int 32 0", { P("\xd2\x00\x00\x00\x00") }, "0", .repacked = true },
        { "int format family", "int 32 2147483647", { P("\xd2\x7f\xff\xff\xff") }, "2147483647", .repacked = true },
        { "int format family", "int 32 -1", { P("\xd2\xff\xff\xff\xff") }, "-1", .repacked = true },
        { "int format family", "int 32 -32768", { P("\xd2\xff\xff\x80\x00") }, "-32768", .repacked = true },
        { "int format family", "int 32 -32769", { P("\xd2\xff\xff\x7f\xff") }, "-32769" },
        { "int format family", "int 32 -2147483648", { P("\xd2\x80\x00\x00\x00") }, "-2147483648" },
        { "int format family", "int 64 0", { P("\xd3\x00\x00\x00\x00\x00\x00\x00\x00") }, "0", .repacked = true },
        { "int format family", "int 64 9223372036854775807", { P("\xd3\x7f\xff\xff\xff\xff\xff\xff\xff") }, "9223372036854775807", .repacked = true },
        { "int format family", "int 64 -1", { P("\xd3\xff\xff\xff\xff\xff\xff\xff\xff") }, "-1", .repacked = true },
        { "int format family", "int 64 -2147483648", { P("\xd3\xff\xff\xff\xff\x80\x00\x00\x00") }, "-2147483648", .repacked = true },
        { "int format family", "int 64 -2147483649", { P("\xd3\xff\xff\xff\xff\x7f\xff\xff\xff") }, "-2147483649" },
        { "int format family", "int 64 -9223372036854775808", { P("\xd3\x80\x00\x00\x00\x00\x00\x00\x00") }, "-9223372036854775808" },
        /* float format family */
        { "float format family", "float 32 0", { P("\xca\x00\x00\x00\x00") }, "f:0", .repacked = true },
        { "float format family", "float 32 -0", { P("\xca\x80\x00\x00\x00") }, "f:-0", .repacked = true },
        { "float format family", "float 32 1", { P("\xca\x3f\x80\x00\x00") }, "f:1", .repacked = true },
        { "float format family", "float 32 -pi", { P("\xca\xc0\x49\x0f\xdb") }, "f:-3.1415927410125732", .repacked = true },
        { "float format family", "float 32 least denormal", { P("\xca\x00\x00\x00\x01") }, "f:1.4012984643248171e-45", .repacked = true },
        { "float format family", "float 32 greatest denormal", { P("\xca\x00\x7f\xff\xff") }, "f:1.1754942106924411e-38", .repacked = true },
        { "float format family", "float 32 least normal", { P("\xca\x00\x80\x00\x00") }, "f:1.1754943508222875e-38", .repacked = true },
        { "float format family", "float 32 greatest", { P("\xca\x7f\x7f\xff\xff") }, "f:3.4028234663852886e+38", .repacked = true },
        { "float format family", "float 32 inf", { P("\xca\x7f\x80\x00\x00") }, "f:inf", .repacked = true },
        { "float format family", "float 32 -inf", { P("\xca\xff\x80\x00\x00") }, "f:-inf", .repacked = true },
        { "float format family", "float 32 nan", { P("\xca\x7f\xc0\x00\x00") }, "f:nan", .repacked = true },
        { "float format family", "float 32 nan, signalling", { P("\xca\x7f\x80\x00\x01") }, "f:nan", .repacked = true },
        { "float format family", "float 32 nan, all bits", { P("\xca\xff\xff\xff\xff") }, "f:nan", .repacked = true },
        { "float format family", "float 64 0", { P("\xcb\x00\x00\x00\x00\x00\x00\x00\x00") }, "f:0" },
        { "float format family", "float 64 -0", { P("\xcb\x80\x00\x00\x00\x00\x00\x00\x00") }, "f:-0" },
        { "float format family", "float 64 1.5", { P("\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00") }, "f:1.5" },
        { "float format family", "float 64 0.1", { P("\xcb\x3f\xb9\x99\x99\x99\x99\x99\x9a") }, "f:0.10000000000000001" },
        { "float format family", "float 64 2^53", { P("\xcb\x43\x40\x00\x00\x00\x00\x00\x00") }, "f:9007199254740992" },
        { "float format family", "float 64 least denormal", { P("\xcb\x00\x00\x00\x00\x00\x00\x00\x01") }, "f:4.9406564584124654e-324" },
        { "float format family", "float 64 greatest denormal", { P("\xcb\x00\x0f\xff\xff\xff\xff\xff\xff") }, "f:2.2250738585072009e-308" },
        { "float format family", "float 64 least normal", { P("\xcb\x00\x10\x00\x00\x00\x00\x00\x00") }, "f:2.2250738585072014e-308" },
        { "float format family", "float 64 greatest", { P("\xcb\x7f\xef\xff\xff\xff\xff\xff\xff") }, "f:1.7976931348623157e+308" },
        { "float format family", "float 64 inf", { P("\xcb\x7f\xf0\x00\x00\x00\x00\x00\x00") }, "f:inf" },
        { "float format family", "float 64 -inf", { P("\xcb\xff\xf0\x00\x00\x00\x00\x00\x00") }, "f:-inf" },
        { "float format family", "float 64 nan", { P("\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00") }, "f:nan" },
        { "float format family", "float 64 nan, signalling", { P("\xcb\x7f\xf0\x00\x00\x00\x00\x00\x01") }, "f:nan" },
        { "float format family", "float 64 nan, all bits", { P("\xcb\xff\xff\xff\xff\xff\xff\xff\xff") }, "f:nan" },
        /* str format family */
        { "str format family", "fixstr, 0 bytes", { P("\xa0") }, "s\"\"" },
        { "str format family", "fixstr, 1 bytes", { P("\xa1"), R(1, "a") }, "s\"a\"" },
        { "str format family", "fixstr, 31 bytes", { P("\xbf"), R(31, "a") }, "s\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"" },
        { "str format family", "str 8, 0 bytes", { P("\xd9\x00") }, "s\"\"", .repacked = true },
        { "str format family", "str 8, 31 bytes", { P("\xd9\x1f"), R(31, "a") }, "s\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"", .repacked = true },
        { "str format family", "str 8, 32 bytes", { P("\xd9\x20"), R(32, "a") }, "s\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"" },
        { "str format family", "str 8, 255 bytes", { P("\xd9\xff"), R(255, "a") }, "s#255" },
        { "str format family", "str 16, 0 bytes", { P("\xda\x00\x00") }, "s\"\"", .repacked = true },
        { "str format family", "str 16, 255 bytes", { P("\xda\x00\xff"), R(255, "a") }, "s#255", .repacked = true },
        { "str format family", "str 16, 256 bytes", { P("\xda\x01\x00"), R(256, "a") }, "s#256" },
        { "str format family", "str 16, 65535 bytes", { P("\xda\xff\xff"), R(65535, "a") }, "s#65535" },
        { "str format family", "str 32, 0 bytes", { P("\xdb\x00\x00\x00\x00") }, "s\"\"", .repacked = true },
        { "str format family", "str 32, 65535 bytes", { P("\xdb\x00\x00\xff\xff"), R(65535, "a") }, "s#65535", .repacked = true },
        { "str format family", "str 32, 65536 bytes", { P("\xdb\x00\x01\x00\x00"), R(65536, "a") }, "s#65536" },
        { "str format family", "str 32, 200000 bytes", { P("\xdb\x00\x03\x0d\x40"), R(200000, "a") }, "s#200000" },
        { "str format family", "UTF-8 of 2, 3 and 4 bytes", { P("\xa9\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80") }, "s\"\\xc3\\xa9\\xe2\\x82\\xac\\xf0\\x9f\\x98\\x80\"" },
        { "str format family", "a NUL inside", { P("\xa3\x61\x00\x62") }, "s\"a\\x00b\"" },
        /* "String objects may contain invalid byte sequence": the reader takes them as they are */
        { "Limitation", "str, a byte that UTF-8 has not", { P("\xa1\xff") }, "s\"\\xff\"", .no_json = "JSON's text is UTF-8: it becomes bytes" },
        { "Limitation", "str, a surrogate", { P("\xa3\xed\xa0\x80") }, "s\"\\xed\\xa0\\x80\"", .no_json = "JSON's text is UTF-8: it becomes bytes" },
        { "Limitation", "str, longer than need be", { P("\xa2\xc0\x80") }, "s\"\\xc0\\x80\"", .no_json = "JSON's text is UTF-8: it becomes bytes" },
        { "Limitation", "str, cut within a character", { P("\xa2\xe2\x82") }, "s\"\\xe2\\x82\"", .no_json = "JSON's text is UTF-8: it becomes bytes" },
        { "Limitation", "str, above U+10FFFF", { P("\xa4\xf4\x90\x80\x80") }, "s\"\\xf4\\x90\\x80\\x80\"", .no_json = "JSON's text is UTF-8: it becomes bytes" },
        /* bin format family */
        { "bin format family", "bin 8, 0 bytes", { P("\xc4\x00") }, "b\"\"" },
        { "bin format family", "bin 8, 1 bytes", { P("\xc4\x01"), R(1, "a") }, "b\"a\"" },
        { "bin format family", "bin 8, 255 bytes", { P("\xc4\xff"), R(255, "a") }, "b#255" },
        { "bin format family", "bin 16, 0 bytes", { P("\xc5\x00\x00") }, "b\"\"", .repacked = true },
        { "bin format family", "bin 16, 255 bytes", { P("\xc5\x00\xff"), R(255, "a") }, "b#255", .repacked = true },
        { "bin format family", "bin 16, 256 bytes", { P("\xc5\x01\x00"), R(256, "a") }, "b#256" },
        { "bin format family", "bin 16, 65535 bytes", { P("\xc5\xff\xff"), R(65535, "a") }, "b#65535" },
        { "bin format family", "bin 32, 0 bytes", { P("\xc6\x00\x00\x00\x00") }, "b\"\"", .repacked = true },
        { "bin format family", "bin 32, 65535 bytes", { P("\xc6\x00\x00\xff\xff"), R(65535, "a") }, "b#65535", .repacked = true },
        { "bin format family", "bin 32, 65536 bytes", { P("\xc6\x00\x01\x00\x00"), R(65536, "a") }, "b#65536" },
        { "bin format family", "bin 32, 200000 bytes", { P("\xc6\x00\x03\x0d\x40"), R(200000, "a") }, "b#200000" },
        { "bin format family", "every byte is data", { P("\xc4\x04\xc1\xff\x00\x93") }, "b\"\\xc1\\xff\\x00\\x93\"" },
        /* array format family */
        { "array format family", "fixarray, 0 items", { P("\x90") }, "[]" },
        { "array format family", "fixarray, 1 items", { P("\x91"), R(1, "\x07") }, "[7]" },
        { "array format family", "fixarray, 15 items", { P("\x9f"), R(15, "\x07") }, "[#15]" },
        { "array format family", "array 16, 0 items", { P("\xdc\x00\x00") }, "[]", .repacked = true },
        { "array format family", "array 16, 15 items", { P("\xdc\x00\x0f"), R(15, "\x07") }, "[#15]", .repacked = true },
        { "array format family", "array 16, 16 items", { P("\xdc\x00\x10"), R(16, "\x07") }, "[#16]" },
        { "array format family", "array 16, 65535 items", { P("\xdc\xff\xff"), R(65535, "\x07") }, "[#65535]" },
        { "array format family", "array 32, 0 items", { P("\xdd\x00\x00\x00\x00") }, "[]", .repacked = true },
        { "array format family", "array 32, 65535 items", { P("\xdd\x00\x00\xff\xff"), R(65535, "\x07") }, "[#65535]", .repacked = true },
        { "array format family", "array 32, 65536 items", { P("\xdd\x00\x01\x00\x00"), R(65536, "\x07") }, "[#65536]" },
        { "array format family", "array 32, 70000 items", { P("\xdd\x00\x01\x11\x70"), R(70000, "\x07") }, "[#70000]" },
        { "array format family", "of every type", { P("\x98\xc0\xc2\x01\xca\x3f\0\0\0\xa1s\xc4\x01\0\x90\x80") }, "[nil,false,1,f:0.5,s\"s\",b\"\\x00\",[],{}]", .repacked = true },
        /* map format family */
        { "map format family", "fixmap, 0 pairs", { P("\x80") }, "{}" },
        { "map format family", "fixmap, 1 pairs", { P("\x81"), R(1, "\x07\xc0") }, "{7:nil}", .no_json = "JSON's keys are texts" },
        { "map format family", "fixmap, 15 pairs", { P("\x8f"), R(15, "\x07\xc0") }, "{#15}", .no_json = "JSON's keys are texts" },
        { "map format family", "map 16, 0 pairs", { P("\xde\x00\x00") }, "{}", .repacked = true },
        { "map format family", "map 16, 15 pairs", { P("\xde\x00\x0f"), R(15, "\x07\xc0") }, "{#15}", .no_json = "JSON's keys are texts", .repacked = true },
        { "map format family", "map 16, 16 pairs", { P("\xde\x00\x10"), R(16, "\x07\xc0") }, "{#16}", .no_json = "JSON's keys are texts" },
        { "map format family", "map 16, 65535 pairs", { P("\xde\xff\xff"), R(65535, "\x07\xc0") }, "{#65535}", .no_json = "JSON's keys are texts" },
        { "map format family", "map 32, 0 pairs", { P("\xdf\x00\x00\x00\x00") }, "{}", .repacked = true },
        { "map format family", "map 32, 65535 pairs", { P("\xdf\x00\x00\xff\xff"), R(65535, "\x07\xc0") }, "{#65535}", .no_json = "JSON's keys are texts", .repacked = true },
        { "map format family", "map 32, 65536 pairs", { P("\xdf\x00\x01\x00\x00"), R(65536, "\x07\xc0") }, "{#65536}", .no_json = "JSON's keys are texts" },
        { "map format family", "map 32, 70000 pairs", { P("\xdf\x00\x01\x11\x70"), R(70000, "\x07\xc0") }, "{#70000}", .no_json = "JSON's keys are texts" },
        { "map format family", "keys that are texts", { P("\x82\xa1\x61\x01\xa2$b\x91\xc3") }, "{s\"a\":1,s\"$b\":[true]}" },
        { "map format family", "a key alone that JSON would take for an escape", { P("\x81\xa7$base64\xa0") }, "{s\"$base64\":s\"\"}" },
        { "map format family", "a key twice", { P("\x82\xa1\x61\x01\xa1\x61\x02") }, "{s\"a\":1,s\"a\":2}", .no_json = "a JSON object has a key once" },
        { "map format family", "keys of every other type", { P("\x88\xc0\x01\xc3\x02\xcf\xff\xff\xff\xff\xff\xff\xff\xff\x03\xcb\x3f\xe0\0\0\0\0\0\0\x04\xc4\x01\0\x05\x91\x01\x06\x81\x01\x02\x07\xd4\x05\x06\x08") }, "{nil:1,true:2,18446744073709551615:3,f:0.5:4,b\"\\x00\":5,[1]:6,{1:2}:7,x5\"\\x06\":8}", .no_json = "JSON's keys are texts" },
        /* ext format family */
        { "ext format family", "fixext 1, 1 bytes", { P("\xd4\x05"), R(1, "a") }, "x5\"a\"", .no_json = "an extension is only told, not taken" },
        { "ext format family", "fixext 2, 2 bytes", { P("\xd5\x05"), R(2, "a") }, "x5\"aa\"", .no_json = "an extension is only told, not taken" },
        { "ext format family", "fixext 4, 4 bytes", { P("\xd6\x05"), R(4, "a") }, "x5\"aaaa\"", .no_json = "an extension is only told, not taken" },
        { "ext format family", "fixext 8, 8 bytes", { P("\xd7\x05"), R(8, "a") }, "x5\"aaaaaaaa\"", .no_json = "an extension is only told, not taken" },
        { "ext format family", "fixext 16, 16 bytes", { P("\xd8\x05"), R(16, "a") }, "x5\"aaaaaaaaaaaaaaaa\"", .no_json = "an extension is only told, not taken" },
        { "ext format family", "fixext 1, least type, 1 bytes", { P("\xd4\x80"), R(1, "a") }, "x-128\"a\"", .no_json = "an extension is only told, not taken" },
        { "ext format family", "fixext 1, greatest type, 1 bytes", { P("\xd4\x7f"), R(1, "a") }, "x127\"a\"", .no_json = "an extension is only told, not taken" },
        { "ext format family", "ext 8, 0 bytes", { P("\xc7\x00\x07") }, "x7\"\"", .no_json = "an extension is only told, not taken" },
        { "ext format family", "ext 8, 3 bytes", { P("\xc7\x03\x07"), R(3, "a") }, "x7\"aaa\"", .no_json = "an extension is only told, not taken" },
        { "ext format family", "ext 8, 17 bytes", { P("\xc7\x11\x07"), R(17, "a") }, "x7\"aaaaaaaaaaaaaaaaa\"", .no_json = "an extension is only told, not taken" },
        { "ext format family", "ext 8, 255 bytes", { P("\xc7\xff\x07"), R(255, "a") }, "x7#255", .no_json = "an extension is only told, not taken" },
        { "ext format family", "ext 8 for fixext, 16 bytes", { P("\xc7\x10\x07"), R(16, "a") }, "x7\"aaaaaaaaaaaaaaaa\"", .no_json = "an extension is only told, not taken" },
        { "ext format family", "ext 16, 256 bytes", { P("\xc8\x01\x00\x07"), R(256, "a") }, "x7#256", .no_json = "an extension is only told, not taken" },
        { "ext format family", "ext 16, 65535 bytes", { P("\xc8\xff\xff\x07"), R(65535, "a") }, "x7#65535", .no_json = "an extension is only told, not taken" },
        { "ext format family", "ext 16, 255 bytes", { P("\xc8\x00\xff\x07"), R(255, "a") }, "x7#255", .no_json = "an extension is only told, not taken" },
        { "ext format family", "ext 32, 65536 bytes", { P("\xc9\x00\x01\x00\x00\x07"), R(65536, "a") }, "x7#65536", .no_json = "an extension is only told, not taken" },
        { "ext format family", "ext 32, 200000 bytes", { P("\xc9\x00\x03\x0d\x40\x07"), R(200000, "a") }, "x7#200000", .no_json = "an extension is only told, not taken" },
        { "ext format family", "ext 32, 0 bytes", { P("\xc9\x00\x00\x00\x00\x07") }, "x7\"\"", .no_json = "an extension is only told, not taken" },
        /* Timestamp extension type: to us an extension as others */
        { "Timestamp extension type", "timestamp 32, 1970", { P("\xd6\xff\x00\x00\x00\x00") }, "x-1\"\\x00\\x00\\x00\\x00\"", .no_json = "an extension is only told, not taken" },
        { "Timestamp extension type", "timestamp 32, 2106", { P("\xd6\xff\xff\xff\xff\xff") }, "x-1\"\\xff\\xff\\xff\\xff\"", .no_json = "an extension is only told, not taken" },
        { "Timestamp extension type", "timestamp 64, 999999999 ns", { P("\xd7\xff\xee\x6b\x27\xfc\x00\x00\x00\x01") }, "x-1\"\\xeek'\\xfc\\x00\\x00\\x00\\x01\"", .no_json = "an extension is only told, not taken" },
        { "Timestamp extension type", "timestamp 64, 2514", { P("\xd7\xff\xee\x6b\x27\xff\xff\xff\xff\xff") }, "x-1\"\\xeek'\\xff\\xff\\xff\\xff\\xff\"", .no_json = "an extension is only told, not taken" },
        { "Timestamp extension type", "timestamp 64, nanoseconds above 999999999", { P("\xd7\xff\xff\xff\xff\xfc\x00\x00\x00\x00") }, "x-1\"\\xff\\xff\\xff\\xfc\\x00\\x00\\x00\\x00\"", .no_json = "an extension is only told, not taken" },
        { "Timestamp extension type", "timestamp 96, before 1970", { P("\xc7\x0c\xff\x00\x00\x00\x01\xff\xff\xff\xff\xff\xff\xff\xff") }, "x-1\"\\x00\\x00\\x00\\x01\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xff\"", .no_json = "an extension is only told, not taken" },
        { "Timestamp extension type", "timestamp 96, year 292277026596", { P("\xc7\x0c\xff\x3b\x9a\xc9\xff\x7f\xff\xff\xff\xff\xff\xff\xff") }, "x-1\";\\x9a\\xc9\\xff\\x7f\\xff\\xff\\xff\\xff\\xff\\xff\\xff\"", .no_json = "an extension is only told, not taken" },
        /* Nesting: the specification has no bound, we have 32 */
        { "Formats", "arrays in arrays, 31 deep", { R(31, "\x91"), P("\xc0") }, "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[nil]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]" },
        { "Formats", "arrays in arrays, 32 deep", { R(32, "\x91"), P("\xc0") }, "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[nil]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]" },
        { "Formats", "maps in maps, 31 deep", { R(31, "\x81\xa1k"), P("\xc0") }, "{s\"k\":{s\"k\":{s\"k\":{s\"k\":{s\"k\":{s\"k\":{s\"k\":{s\"k\":{s\"k\":{s\"k\":{s\"k\":{s\"k\":{s\"k\":{s\"k\":{s\"k\":{s\"k\":{s\"k\":{s\"k\":{s\"k\":{s\"k\":{s\"k\":{s\"k\":{s\"k\":{s\"k\":{s\"k\":{s\"k\":{s\"k\":{s\"k\":{s\"k\":{s\"k\":{s\"k\":nil}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}" },
        { "Formats", "maps in maps, 32 deep", { R(32, "\x81\xa1k"), P("\xc0") }, "{s\"k\":{s\"k\":{s\"k\":{s\"k\":{s\"k\":{s\"k\":{s\"k\":{s\"k\":{s\"k\":{s\"k\":{s\"k\":{s\"k\":{s\"k\":{s\"k\":{s\"k\":{s\"k\":{s\"k\":{s\"k\":{s\"k\":{s\"k\":{s\"k\":{s\"k\":{s\"k\":{s\"k\":{s\"k\":{s\"k\":{s\"k\":{s\"k\":{s\"k\":{s\"k\":{s\"k\":{s\"k\":nil}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}" },
        { "Formats", "maps in keys of maps, 31 deep", { R(31, "\x81"), P("\xc0"), R(31, "\xc2") }, "{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{nil:false}:false}:false}:false}:false}:false}:false}:false}:false}:false}:false}:false}:false}:false}:false}:false}:false}:false}:false}:false}:false}:false}:false}:false}:false}:false}:false}:false}:false}:false}:false}", .no_json = "JSON's keys are texts" },
        { "Formats", "maps in keys of maps, 32 deep", { R(32, "\x81"), P("\xc0"), R(32, "\xc2") }, "{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{nil:false}:false}:false}:false}:false}:false}:false}:false}:false}:false}:false}:false}:false}:false}:false}:false}:false}:false}:false}:false}:false}:false}:false}:false}:false}:false}:false}:false}:false}:false}:false}:false}", .no_json = "JSON's keys are texts" },
        { "Formats", "an empty array, 32 deep", { R(31, "\x91"), P("\x90") }, "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]" },
        { "Formats", "arrays in arrays, 33 deep", { R(33, "\x91"), P("\xc0") }, NULL, .at = 33 },
        { "Formats", "arrays in arrays, 64 deep", { R(64, "\x91"), P("\xc0") }, NULL, .at = 33 },
        { "Formats", "an empty array, 33 deep", { R(32, "\x91"), P("\x90") }, NULL, .at = 33 },
        { "Formats", "an empty map, 33 deep", { R(32, "\x91"), P("\x80") }, NULL, .at = 33 },
        { "Formats", "maps in maps, 33 deep", { R(33, "\x81\xa1k"), P("\xc0") }, NULL, .at = 97 },
        { "Formats", "arrays in arrays, 100000 deep", { R(100000, "\x91"), P("\xc0") }, NULL, .at = 33 },
        /* Refused: never used, cut, something behind */
        { "Formats", "never used", { P("\xc1") }, NULL, .at = 0 },
        { "Formats", "never used, inside", { P("\x92\x01\xc1") }, NULL, .at = 2 },
        { "Formats", "never used, as a key", { P("\x81\xc1\x01") }, NULL, .at = 1 },
        { "Formats", "nothing", { P("") }, NULL, .at = 0 },
        { "Formats", "two values", { P("\x01\x02") }, NULL, .at = 1 },
        { "Formats", "something behind an array", { P("\x91\x01\xc0") }, NULL, .at = 2 },
        { "Formats", "an item is missing", { P("\x92\x01") }, NULL, .at = 1 },
        { "Formats", "a value is missing", { P("\x81\xa1\x61") }, NULL, .at = 3 },
        { "Formats", "all values are missing", { R(16, "\x91") }, NULL, .at = 16 },
        /* Refused: lengths and counts that lie. Nothing is allocated, and nobody counts to them */
        { "Formats", "fixstr longer than what is left", { P("\xa2\x61") }, NULL, .at = 0 },
        { "Formats", "str 8", { P("\xd9\xff\x61") }, NULL, .at = 0 },
        { "Formats", "str 16", { P("\xda\xff\xff\x61") }, NULL, .at = 0 },
        { "Formats", "str 32", { P("\xdb\xff\xff\xff\xff\x61") }, NULL, .at = 0 },
        { "Formats", "bin 32", { P("\xc6\xff\xff\xff\xff\x61") }, NULL, .at = 0 },
        { "Formats", "ext 32", { P("\xc9\xff\xff\xff\xff\x01\x61") }, NULL, .at = 0 },
        { "Formats", "ext 32, the whole is 2^32 + 5", { P("\xc9\xff\xff\xff\xff") }, NULL, .at = 0 },
        { "Formats", "ext 8 without its type", { P("\xc7\x00") }, NULL, .at = 0 },
        { "Formats", "fixext 16 without its data", { P("\xd8\x01") }, NULL, .at = 0 },
        { "Formats", "one byte too many", { P("\xd9\x05\x61\x61\x61\x61") }, NULL, .at = 0 },
        { "Formats", "array 16", { P("\xdc\xff\xff\x00") }, NULL, .at = 3 },
        { "Formats", "array 32", { P("\xdd\xff\xff\xff\xff\x00") }, NULL, .at = 5, .huge = true },
        { "Formats", "array 32, 2^31", { P("\xdd\x80\0\0\0") }, NULL, .at = 5, .huge = true },
        { "Formats", "map 16", { P("\xde\xff\xff\x00") }, NULL, .at = 3 },
        { "Formats", "map 32", { P("\xdf\xff\xff\xff\xff") }, NULL, .at = 5, .huge = true },
        { "Formats", "map 32, its items are 2 in 32 bits", { P("\xdf\x80\0\0\x01\0\0") }, NULL, .at = 5, .huge = true },
        { "Formats", "map of one less than it says", { P("\x82\x01\x02\x03") }, NULL, .at = 1 },
        { "Formats", "arrays of 65535 in arrays of 65535", { R(8, "\xdc\xff\xff") }, NULL, .at = 3 },
        { "Formats", "arrays of 2^32 - 1 in arrays of 2^32 - 1", { R(30, "\xdd\xff\xff\xff\xff") }, NULL, .at = 5, .huge = true },
        { "Formats", "an array that counts its sister's items", { P("\x92\x93\x01\x01\x01") }, NULL, .at = 5 },
        /* As many values as bytes: taken, and no more work than bytes */
        { "Formats", "200 arrays of 1000 nils", { P("\xdc\x00\xc8"), R(200, "\xdc\x03\xe8" NILS) }, "[#200]" },
        { "Formats", "100000 empty arrays", { P("\xdd\x00\x01\x86\xa0"), R(100000, "\x90") }, "[#100000]" },
        { "Formats", "30 deep, then 65536 nils", { R(30, "\x91"), P("\xdd\x00\x01\x00\x00"), R(65536, "\xc0") }, "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[#65536]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]" },
};
/* clang-format on */

const size_t n_vectors = sizeof(vectors) / sizeof(vectors[0]);

size_t vector_size(const struct vector *v) {
        size_t size = 0;

        for (size_t i = 0; i < 3; i++)
                size += (size_t)v->parts[i].size * v->parts[i].times;
        return size;
}

uint8_t *vector_bytes(const struct vector *v, size_t *ret_size) {
        size_t size = vector_size(v);
        uint8_t *bytes, *at;

        at = bytes = malloc(size ? size : 1);
        if (!bytes)
                abort();
        for (size_t i = 0; i < 3; i++) {
                for (uint32_t k = 0; k < v->parts[i].times; k++, at += v->parts[i].size)
                        memcpy(at, v->parts[i].bytes ? v->parts[i].bytes : "", v->parts[i].size);
        }
        *ret_size = size;
        return bytes;
}

uint8_t *exact_copy(const void *bytes, size_t size) {
        uint8_t *copy = malloc(size ? size : 1);

        if (!copy)
                abort();
        if (size)
                memcpy(copy, bytes, size);
        return copy;
}
