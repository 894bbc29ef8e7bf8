/* SPDX-License-Identifier: Apache-2.0 */
/* The built-in network's file as bytes of the program; builtin_network.cpp names them. */
        .section .rodata
        .global pcmlab_builtin_network_begin
        .global pcmlab_builtin_network_end
        .balign 16
pcmlab_builtin_network_begin:
        .incbin PCMLAB_BUILTIN_NETWORK
pcmlab_builtin_network_end:
        .byte 0
        .section .note.GNU-stack, "", @progbits
