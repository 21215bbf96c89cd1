import type { Client } from './client.ts'

/** Every client that is run, in the order of the table. */
export const CLIENTS: readonly Client[] = [
  npm('openai', 'OpenAI SDK', 'openai'),
  npm('openai-responses', 'OpenAI SDK, Responses', 'openai'),
  npm('anthropic', 'Anthropic SDK', '@anthropic-ai/sdk'),
  aiSdk('openai', 'openai (Responses)', '@ai-sdk/openai'),
  aiSdk('openai-chat', 'openai.chat', '@ai-sdk/openai'),
  aiSdk('openai-compatible', 'openai-compatible', '@ai-sdk/openai-compatible'),
  aiSdk('deepinfra', 'deepinfra', '@ai-sdk/deepinfra'),
  aiSdk('deepseek', 'deepseek', '@ai-sdk/deepseek'),
  aiSdk('anthropic', 'anthropic', '@ai-sdk/anthropic'),
  aiSdk('openrouter', 'OpenRouter', '@openrouter/ai-sdk-provider'),
  npm('openrouter', 'OpenRouter SDK', '@openrouter/sdk'),
  langchain('openai', 'openai', '@langchain/openai'),
  langchain('openai-responses', 'openai (Responses)', '@langchain/openai'),
  langchain('deepseek', 'deepseek', '@langchain/deepseek'),
  langchain('openrouter', 'openrouter', '@langchain/openrouter'),
  {
    ...npm('langchain-deepinfra', 'LangChain, DeepInfra', '@langchain/community'),
    preload: ['npm/redirect-deepinfra.mjs'],
  },
  llamaIndex('openai', 'openai', '@llamaindex/openai'),
  { ...llamaIndex('deepinfra', 'deepinfra', '@llamaindex/deepinfra'), preload: ['npm/redirect-deepinfra.mjs'] },
  npm('deepinfra', 'DeepInfra SDK', 'deepinfra'),
  python('openai', 'OpenAI SDK (Python)', 'openai'),
  python('anthropic', 'Anthropic SDK (Python)', 'anthropic'),
  python('langchain', 'LangChain, openai (Python)', 'langchain-openai'),
  program('codex', 'Codex', '@openai/codex'),
  program('claude-code', 'Claude Code', '@anthropic-ai/claude-code'),
  ...wires('qwen-code', 'Qwen Code', '@qwen-code/qwen-code', ['openai', 'openai-responses', 'anthropic']),
  program('opencode', 'opencode', 'opencode-ai'),
  ...wires('openclaw', 'OpenClaw', 'openclaw', ['openai-completions', 'openai-responses', 'anthropic-messages']),
]

function npm(id: string, title: string, name: string): Client {
  return { id, title, package: name, folder: 'npm', script: `npm/${id}.mjs` }
}

function aiSdk(provider: string, title: string, name: string): Client {
  const script = 'npm/ai-sdk.mjs'
  return { id: `ai-sdk-${provider}`, title: `AI SDK, ${title}`, package: name, folder: 'npm', script, args: [provider] }
}

function langchain(id: string, title: string, name: string): Client {
  const script = 'npm/langchain.mjs'
  return { id: `langchain-${id}`, title: `LangChain, ${title}`, package: name, folder: 'npm', script, args: [id] }
}

function llamaIndex(id: string, title: string, name: string): Client {
  const script = 'npm/llamaindex.mjs'
  return { id: `llamaindex-${id}`, title: `LlamaIndex, ${title}`, package: name, folder: 'npm', script, args: [id] }
}

function program(id: string, title: string, name: string): Client {
  return { id, title, package: name, folder: `programs/${id}`, script: `programs/${id}.mjs` }
}

/** One program over each of the wires that it speaks. */
function wires(id: string, title: string, name: string, each: readonly string[]): Client[] {
  return each.map(wire => ({ ...program(id, `${title}, ${wire}`, name), id: `${id}-${wire}`, args: [wire] }))
}

function python(id: string, title: string, name: string): Client {
  return { id: `python-${id}`, title, package: name, folder: 'python', script: `python/${id}_client.py` }
}
