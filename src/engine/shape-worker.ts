/** Reads a model's shape on a thread of its own: parsing a vocabulary of 262,144 tokens takes 650 ms. */
import { parentPort, workerData } from 'node:worker_threads'
import { gguf } from '@huggingface/gguf'
import { shapeOf } from './memory-plan.ts'

const { metadata } = await gguf(workerData as string, { allowLocalFile: true })
parentPort?.postMessage(shapeOf(metadata as unknown as Record<string, unknown>))
