/** Jinja chat templates of the fixtures. */

/** ChatML, with tools and tool calls in the manner of Hermes and Qwen 2.5: JSON between `<tool_call>` tags. */
export const CHATML_TEMPLATE = `
{%- set first = messages[0] if messages else none %}
{%- set system = first.content if first and first.role == 'system' else 'You are a helpful assistant.' %}
{{- '<|im_start|>system\\n' + system }}
{%- if tools %}
    {{- '\\n\\n# Tools\\n\\nYou may call these functions:\\n<tools>' }}
    {%- for tool in tools %}
        {{- '\\n' + (tool | tojson) }}
    {%- endfor %}
    {{- '\\n</tools>\\n\\nFor each call, return a JSON object within tags:\\n<tool_call>\\n{"name": <function>, "arguments": <object>}\\n</tool_call>' }}
{%- endif %}
{{- '<|im_end|>\\n' }}
{%- for message in messages %}
    {%- if message.role == 'tool' %}
        {{- '<|im_start|>user\\n<tool_response>\\n' + message.content + '\\n</tool_response><|im_end|>\\n' }}
    {%- elif message.role == 'assistant' and message.tool_calls %}
        {{- '<|im_start|>assistant' }}
        {%- if message.content %}{{- '\\n' + message.content }}{%- endif %}
        {%- for call in message.tool_calls %}
            {{- '\\n<tool_call>\\n{"name": "' + call.function.name + '", "arguments": ' + (call.function.arguments | tojson) + '}\\n</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\\n' }}
    {%- elif not (loop.first and message.role == 'system') %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}
`.trim()

/**
 * The form of DeepSeek V4's prompts: turns begin with a role token, an answer starts with `<think>` (or `</think>` when
 * thinking is off), and tool calls are DSML, named `tool_calls`. llama.cpp knows the form by `dsml_token` and that name.
 */
export const DEEPSEEK4_TEMPLATE = `
{%- set dsml_token = '｜DSML｜' %}
{%- set thinking = enable_thinking if enable_thinking is defined else true %}
{{- bos_token }}
{%- for message in messages if message.role == 'system' %}{{- message.content + '\\n\\n' }}{%- endfor %}
{%- if tools %}
    {{- '## Tools\\n\\nCall functions with a <' + dsml_token + 'tool_calls> block. Schemas:\\n' }}
    {%- for tool in tools %}{{- (tool.function | tojson) + '\\n' }}{%- endfor %}
{%- endif %}
{%- for message in messages %}
    {%- if message.role == 'user' %}
        {{- '<｜User｜>' + message.content }}
    {%- elif message.role == 'tool' %}
        {{- '<｜User｜><tool_result>' + message.content + '</tool_result>' }}
    {%- elif message.role == 'assistant' %}
        {{- '<｜Assistant｜></think>' }}
        {%- if message.content %}{{- message.content }}{%- endif %}
        {%- if message.tool_calls %}
            {{- '\\n\\n<' + dsml_token + 'tool_calls>\\n' }}
            {%- for call in message.tool_calls %}
                {{- '<' + dsml_token + 'invoke name="' + call.function.name + '">\\n' }}
                {%- for name, value in call.function.arguments.items() %}
                    {%- if value is string %}
                        {{- '<' + dsml_token + 'parameter name="' + name + '" string="true">' + value + '</' + dsml_token + 'parameter>\\n' }}
                    {%- else %}
                        {{- '<' + dsml_token + 'parameter name="' + name + '" string="false">' + (value | tojson) + '</' + dsml_token + 'parameter>\\n' }}
                    {%- endif %}
                {%- endfor %}
                {{- '</' + dsml_token + 'invoke>\\n' }}
            {%- endfor %}
            {{- '</' + dsml_token + 'tool_calls>' }}
        {%- endif %}
        {{- '<｜end▁of▁sentence｜>' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<｜Assistant｜>' + ('<think>' if thinking else '</think>') }}
{%- endif %}
`.trim()
