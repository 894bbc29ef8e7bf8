/* SPDX-License-Identifier: Apache-2.0 */
/* The built-in networks' files as bytes of the program; builtin_network.cpp names them. */
        .macro network name, file
        .global pcmlab_\name\()_begin
        .global pcmlab_\name\()_end
        .balign 16
pcmlab_\name\()_begin:
        .incbin "\file"
pcmlab_\name\()_end:
        .byte 0
        .endm

        .section .rodata
        network resnet32_fashion_mnist, resnet32-fashion-mnist.onnx
        network resnet32_cifar_10, resnet32-cifar-10.onnx
        .section .note.GNU-stack, "", @progbits
