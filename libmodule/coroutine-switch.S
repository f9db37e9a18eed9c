/* SPDX-License-Identifier: Apache-2.0
 *
 * void coroutine_switch(void **save, void *load)
 *
 * Saves what the callee must preserve on the current stack, stores the stack
 * pointer to *save, and goes on with the stack `load`. Signal masks are left
 * alone, which is what makes it cheaper than swapcontext(3).
 */
#if defined(__x86_64__)

        .text
        .globl coroutine_switch
        .hidden coroutine_switch
        .type coroutine_switch, @function
coroutine_switch:
        .cfi_startproc
        endbr64
        pushq %rbp
        pushq %rbx
        pushq %r12
        pushq %r13
        pushq %r14
        pushq %r15
        subq $8, %rsp
        stmxcsr (%rsp)
        fnstcw 4(%rsp)
        movq %rsp, (%rdi)
        movq %rsi, %rsp
        ldmxcsr (%rsp)
        fldcw 4(%rsp)
        addq $8, %rsp
        popq %r15
        popq %r14
        popq %r13
        popq %r12
        popq %rbx
        popq %rbp
        ret
        .cfi_endproc
        .size coroutine_switch, . - coroutine_switch

/* The first return goes here: r12 = function, r13 = its argument. Nothing is behind it. */
        .globl coroutine_entry
        .hidden coroutine_entry
        .type coroutine_entry, @function
coroutine_entry:
        .cfi_startproc
        .cfi_undefined rip
        endbr64
        xorl %ebp, %ebp
        movq %r13, %rdi
        call *%r12
        ud2
        .cfi_endproc
        .size coroutine_entry, . - coroutine_entry

#elif defined(__aarch64__)

        .text
        .globl coroutine_switch
        .hidden coroutine_switch
        .type coroutine_switch, %function
coroutine_switch:
        .cfi_startproc
        sub sp, sp, #176
        stp x19, x20, [sp, #0]
        stp x21, x22, [sp, #16]
        stp x23, x24, [sp, #32]
        stp x25, x26, [sp, #48]
        stp x27, x28, [sp, #64]
        stp x29, x30, [sp, #80]
        stp d8, d9, [sp, #96]
        stp d10, d11, [sp, #112]
        stp d12, d13, [sp, #128]
        stp d14, d15, [sp, #144]
        mrs x9, fpcr
        str x9, [sp, #160]
        mov x9, sp
        str x9, [x0]
        mov sp, x1
        ldp x19, x20, [sp, #0]
        ldp x21, x22, [sp, #16]
        ldp x23, x24, [sp, #32]
        ldp x25, x26, [sp, #48]
        ldp x27, x28, [sp, #64]
        ldp x29, x30, [sp, #80]
        ldp d8, d9, [sp, #96]
        ldp d10, d11, [sp, #112]
        ldp d12, d13, [sp, #128]
        ldp d14, d15, [sp, #144]
        ldr x9, [sp, #160]
        msr fpcr, x9
        add sp, sp, #176
        ret
        .cfi_endproc
        .size coroutine_switch, . - coroutine_switch

        .globl coroutine_entry
        .hidden coroutine_entry
        .type coroutine_entry, %function
coroutine_entry:
        .cfi_startproc
        .cfi_undefined x30
        mov x29, xzr
        mov x0, x20
        blr x19
        brk #1
        .cfi_endproc
        .size coroutine_entry, . - coroutine_entry

#else
#error "coroutines are written for x86-64 and aarch64; add coroutine_switch and coroutine_entry for this machine"
#endif

        .section .note.GNU-stack, "", %progbits
