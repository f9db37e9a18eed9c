# SPDX-License-Identifier: Apache-2.0
#
# A part of checks.sh: what a hostile module tries (tests/hostile/attempts.py), where limits are real and the kernel is old.
# What came of it is written to a page, which is compared with docs/attempts.md; run.sh takes it out of the machine.

attempts() {
        title "attempts to get out"
        [ "$(systemd-detect-virt)" != none ] && [ -d src ] || {
                echo "not tried: only under make test-system VM=1"
                return
        }
        cp src/docs/attempts.md attempts.md
        check "each ends as foreseen" env SOCLE_BUILD=/socle-test/build SOCLE_TEST_SLOW=$slow SOCLE_ATTEMPTS_TABLE=/socle-test/attempts.md \
                PYTHONPATH=src/tests/integration:src/tests/hostile python3 src/tests/hostile/installed.py
        check "as docs/attempts.md says" is "$(sha256sum <attempts.md)" "$(sha256sum <src/docs/attempts.md)"
}
